// DataVolumes, events and users as rows for people.
import type { DataVolume } from '../domain/data-volume.ts';
import type { KubeEvent } from '../domain/kube-shapes.ts';
import { describeBytes, quantityBytes } from '../domain/quantity.ts';
import { describeSeconds } from './progress-display.ts';

export const volumeHead = ['NAMESPACE', 'NAME', 'SOURCE', 'PHASE', 'PROGRESS', 'SIZE', 'AGE'];
export const wideVolumeHead = [...volumeHead, 'NODE', 'POOL', 'ALLOCATED', 'ATTEMPT', 'FAULT', 'DIGEST'];

export function volumeRow(volume: DataVolume, now: Date): string[] {
  const { phase = '', progress = 'N/A' } = volume.status ?? {};
  const { namespace = '', name, creationTimestamp } = volume.metadata;
  return [namespace, name, sourceOf(volume), phase, progress, sizeOf(volume), ageOf(creationTimestamp, now)];
}

export function wideVolumeRow(volume: DataVolume, now: Date): string[] {
  const { node, pool, allocatedBytes, attempt, fault, contentDigest } = volume.status?.longshore ?? {};
  return [
    ...volumeRow(volume, now),
    node ?? '-',
    pool ?? '-',
    allocatedBytes === undefined ? '-' : describeBytes(allocatedBytes),
    attempt === undefined ? '-' : String(attempt),
    fault?.code ?? '-',
    contentDigest ?? '-',
  ];
}

/** The kind of its source, such as http. */
export function sourceOf(volume: DataVolume): string {
  return Object.keys(volume.spec.source ?? {})[0] ?? volume.spec.sourceRef?.kind ?? '-';
}

function sizeOf(volume: DataVolume): string {
  const told = volume.status?.longshore?.virtualSize;
  const asked = (volume.spec.storage ?? volume.spec.pvc)?.resources?.requests?.['storage'];
  const bytes = told ?? (asked === undefined ? undefined : quantityBytes(asked));
  return bytes === undefined ? '-' : describeBytes(bytes);
}

function ageOf(time: string | undefined, now: Date): string {
  if (time === undefined) return '-';
  return describeSeconds(Math.max(0, (now.getTime() - Date.parse(time)) / 1000));
}

export const eventHead = ['LAST SEEN', 'TYPE', 'REASON', 'OBJECT', 'MESSAGE'];

export function eventRow(event: KubeEvent, now: Date): string[] {
  const { kind = '', name = '' } = event.involvedObject;
  const times = event.count !== undefined && event.count > 1 ? ` (${event.count} times)` : '';
  const seen = ageOf(event.lastTimestamp ?? event.metadata.creationTimestamp, now);
  return [
    seen,
    event.type ?? '',
    event.reason ?? '',
    `${kind.toLowerCase()}/${name}`,
    `${event.message ?? ''}${times}`,
  ];
}

/** The oldest first; within a second in the order in which the service wrote them. */
export function byTime(one: KubeEvent, other: KubeEvent): number {
  const order = (one.lastTimestamp ?? '').localeCompare(other.lastTimestamp ?? '');
  return order || Number(one.metadata.resourceVersion ?? 0) - Number(other.metadata.resourceVersion ?? 0);
}
