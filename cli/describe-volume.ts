// Everything about one DataVolume as paragraphs for people.

import { annotations } from '../domain/annotations.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import type { Claim, KubeEvent } from '../domain/kube-shapes.ts';
import { describeBytes } from '../domain/quantity.ts';
import { isDone } from './make-volume.ts';
import { textTable } from './text-table.ts';
import { byTime, eventHead, eventRow, sourceOf } from './volume-rows.ts';

export function describeVolume(
  volume: DataVolume,
  claim: Claim | undefined,
  events: readonly KubeEvent[],
  now: Date,
): string {
  return [facts(volume, claim), conditions(volume), faultLines(volume), steps(volume), eventLines(events, now)]
    .filter((part) => part !== '')
    .join('\n');
}

function facts(volume: DataVolume, claim: Claim | undefined): string {
  const { phase, progress, restartCount, longshore = {} } = volume.status ?? {};
  const source = sourceOf(volume);
  const bytes = (count: number | undefined) =>
    count === undefined ? undefined : `${describeBytes(count)} (${count} bytes)`;
  const rows: [string, string | number | undefined][] = [
    ['Name', `${volume.metadata.namespace ?? ''}/${volume.metadata.name}`],
    ['Created', volume.metadata.creationTimestamp],
    ['Source', `${source} ${JSON.stringify(Reflect.get(volume.spec.source ?? {}, source) ?? {})}`],
    ['Phase', phase],
    ['Progress', progress],
    ['Restarts', restartCount],
    ['Volume', longshore.volumeId],
    ['Node', longshore.node],
    ['Path', isDone(volume) ? claim?.metadata.annotations?.[annotations.path] : undefined],
    ['Size', bytes(longshore.virtualSize)],
    ['Allocated', bytes(longshore.allocatedBytes)],
    ['Peak on pool', bytes(longshore.peakBytes)],
    ['Format', longshore.format],
    ['Strategy', longshore.strategy],
    ['Verified', longshore.verified],
    ['Content digest', longshore.contentDigest],
    ['Source digest', longshore.sourceDigest],
    ['Committed', longshore.committedAt],
    ['Attempt', longshore.attempt],
    ['Next attempt', longshore.nextAttemptAt],
  ];
  return rows
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${`${name}:`.padEnd(16)}${value}\n`)
    .join('');
}

function conditions(volume: DataVolume): string {
  const found = volume.status?.conditions ?? [];
  if (found.length === 0) return '';
  const rows = found.map(({ type, status, reason, message }) => [type, status, reason ?? '', message ?? '']);
  return `Conditions\n${textTable(['TYPE', 'STATUS', 'REASON', 'MESSAGE'], rows)}`;
}

function faultLines(volume: DataVolume): string {
  const fault = volume.status?.longshore?.fault;
  if (fault === undefined) return '';
  const again = fault.retryable ? 'may pass by itself' : 'will not pass by itself';
  return `Fault\n${fault.code}: ${fault.detail}\n${fault.nextStep} (${again})\n`;
}

function steps(volume: DataVolume): string {
  const done = volume.status?.longshore?.phases ?? [];
  if (done.length === 0) return '';
  const rows = done.map(({ step, seconds, bytes }) => [step, seconds.toFixed(2), describeBytes(bytes)]);
  return `Steps\n${textTable(['STEP', 'SECONDS', 'BYTES'], rows)}`;
}

function eventLines(events: readonly KubeEvent[], now: Date): string {
  if (events.length === 0) return '';
  return `Events\n${textTable(
    eventHead,
    [...events].sort(byTime).map((event) => eventRow(event, now)),
  )}`;
}
