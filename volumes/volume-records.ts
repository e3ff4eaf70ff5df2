// Reads and writes volume.json. Writing is one durable step. Reading never repairs and never removes: an unreadable record is reported as it
// is, and one of a newer version makes the pool read-only.
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import { isVolumeId, type VolumeId, VolumeRecord, volumeRecordVersion } from '../domain/volume-record.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import type { PoolLayout } from './pool-layout.ts';

const validator = Compile(VolumeRecord);

/** Version → the same record one version later. Pure; an entry stays as long as such pools exist. */
const upgrades: Readonly<Record<number, (old: object) => object>> = {};

/** What the directory of volumes/ holds. */
export type RecordReading =
  | { kind: 'record'; record: VolumeRecord }
  | { kind: 'newer'; volumeId: VolumeId; version: number }
  | { kind: 'corrupt'; volumeId: VolumeId; fault: Fault }
  | { kind: 'foreign'; name: string };

export async function writeRecord(layout: PoolLayout, record: VolumeRecord): Promise<void> {
  await writeRecordIn(layout.volume(record.volumeId), record);
}

export async function writeRecordIn(directory: string, record: VolumeRecord): Promise<void> {
  await writeDurably(join(directory, 'volume.json'), `${JSON.stringify(record, null, 2)}\n`, 0o644);
}

/** Reads all records; a few at a time, since a pool may hold ten thousand. */
export async function readRecords(layout: PoolLayout): Promise<RecordReading[]> {
  const names = await readdir(layout.volumes);
  const readings: RecordReading[] = [];
  const atOnce = 16;
  for (let first = 0; first < names.length; first += atOnce) {
    const some = names.slice(first, first + atOnce);
    readings.push(...(await Promise.all(some.map((name) => readRecord(layout, name)))));
  }
  return readings;
}

export async function readRecord(layout: PoolLayout, name: string): Promise<RecordReading> {
  if (!isVolumeId(name)) return { kind: 'foreign', name };
  try {
    // Whoever put a link there may mean anything by it: what lies behind it is not ours.
    if (!(await lstat(layout.volume(name))).isDirectory()) {
      return { kind: 'corrupt', volumeId: name, fault: new Fault('VolumeCorrupt', `${name} is no directory`) };
    }
    return parseRecord(name, await readFile(layout.record(name), 'utf8'));
  } catch (error) {
    return { kind: 'corrupt', volumeId: name, fault: toFault(error, { otherwise: 'VolumeCorrupt' }) };
  }
}

function parseRecord(volumeId: VolumeId, text: string): RecordReading {
  const corrupt = (detail: string): RecordReading => ({
    kind: 'corrupt',
    volumeId,
    fault: new Fault('VolumeCorrupt', `${volumeId}: ${detail}`),
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return corrupt('volume.json is not JSON');
  }
  const version = versionOf(value);
  if (version === undefined) return corrupt('volume.json has no schemaVersion');
  if (version > volumeRecordVersion) return { kind: 'newer', volumeId, version };
  const current = upgrade(value, version);
  if (!validator.Check(current)) {
    const [first] = validator.Errors(current);
    return corrupt(`volume.json is not valid: ${first?.instancePath ?? ''} ${first?.message ?? ''}`);
  }
  if (current.volumeId !== volumeId) return corrupt(`volume.json tells of ${current.volumeId}`);
  return { kind: 'record', record: { ...current, volumeId } };
}

function versionOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null || !('schemaVersion' in value)) return undefined;
  const version = value.schemaVersion;
  return typeof version === 'number' && Number.isSafeInteger(version) && version > 0 ? version : undefined;
}

function upgrade(value: unknown, from: number): unknown {
  let current = value;
  for (let version = from; version < volumeRecordVersion; version += 1) {
    const step = upgrades[version];
    if (step === undefined || typeof current !== 'object' || current === null) return undefined;
    current = step(current);
  }
  return current;
}
