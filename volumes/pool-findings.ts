// What lies in a pool without a record that owns it, for `longshore doctor`. Looks only; nothing is removed here.
import { lstat, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { holdsFiles, isVolumeId, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';
import { isTemporaryName, type PoolLayout, parseStagingName } from './pool-layout.ts';
import { allocatedBelow } from './pool-space.ts';
import type { RecordReading } from './volume-records.ts';

export interface Finding {
  /** unreadable-record, newer-record, foreign-volume, foreign-file, unowned-staging, foreign-staging, lost-disk. */
  kind: string;
  path: string;
  bytes: number;
  ageSeconds: number;
  detail: string;
}

/** What the pool knows, against which the disk is held. */
export interface PoolKnowledge {
  layout: PoolLayout;
  records: ReadonlyMap<VolumeId, VolumeRecord>;
  /** What was read at open and is no record. */
  unread: readonly RecordReading[];
  /** Whether this attempt may have a staging now. */
  owns(volumeId: VolumeId, attempt: number): boolean;
}

const poolFiles = /^(pool\.json|owner\.json|ledger\.sqlite(-journal|-wal|-shm)?|volumes|staging|images|lost\+found)$/;

export async function findStrays(pool: PoolKnowledge): Promise<Finding[]> {
  return [
    ...(await strayRootFiles(pool)),
    ...(await strayVolumes(pool)),
    ...(await strayStagings(pool)),
    ...(await lostDisks(pool)),
  ];
}

async function strayRootFiles({ layout }: PoolKnowledge): Promise<Finding[]> {
  const names = (await readdir(layout.directory)).filter((name) => !poolFiles.test(name));
  return describeAll(
    layout,
    names.map((name) => ({
      kind: 'foreign-file',
      path: join(layout.directory, name),
      detail: 'not a file of the pool',
    })),
  );
}

async function strayVolumes(pool: PoolKnowledge): Promise<Finding[]> {
  const { layout } = pool;
  const strays: Stray[] = [];
  for (const name of await readdir(layout.volumes)) {
    const path = join(layout.volumes, name);
    const record = isVolumeId(name) ? pool.records.get(name) : undefined;
    if (record === undefined) strays.push({ path, ...whyUnread(pool, name) });
    else strays.push(...(await strayFilesOf(path, record)));
  }
  return describeAll(layout, strays);
}

function whyUnread(pool: PoolKnowledge, name: string): { kind: string; detail: string } {
  for (const reading of pool.unread) {
    if (reading.kind === 'corrupt' && reading.volumeId === name) {
      return { kind: 'unreadable-record', detail: reading.fault.detail };
    }
    if (reading.kind === 'newer' && reading.volumeId === name) {
      return { kind: 'newer-record', detail: `volume.json has version ${reading.version}` };
    }
  }
  return { kind: 'foreign-volume', detail: 'no record owns it' };
}

async function strayFilesOf(directory: string, record: VolumeRecord): Promise<Stray[]> {
  const bounds = record.boundedBytes === undefined ? [] : ['fs.img'];
  const known = new Set(['volume.json', record.mode === 'Block' ? 'block.img' : 'data', ...bounds]);
  const names = (await readdir(directory)).filter((name) => !known.has(name));
  return names.map((name) => ({
    kind: 'foreign-file',
    path: join(directory, name),
    detail: 'not a file of the volume',
  }));
}

async function strayStagings(pool: PoolKnowledge): Promise<Finding[]> {
  const { layout } = pool;
  const strays = (await readdir(layout.staging)).flatMap((name): Stray[] => {
    const path = join(layout.staging, name);
    if (isTemporaryName(name)) return [];
    const owner = parseStagingName(name);
    if (owner === undefined) return [{ kind: 'foreign-staging', path, detail: 'not the staging of an attempt' }];
    if (pool.owns(owner.volumeId, owner.attempt)) return [];
    return [{ kind: 'unowned-staging', path, detail: 'no attempt owns it' }];
  });
  return describeAll(layout, strays);
}

/** A record that says complete while its disk is gone: somebody removed it by hand. */
async function lostDisks({ layout, records }: PoolKnowledge): Promise<Finding[]> {
  const lost: Finding[] = [];
  for (const record of records.values()) {
    if (record.state !== 'complete') continue;
    const path = layout.content(record);
    if ((await ageOf(path)) !== undefined) continue;
    const detail = `the record says complete, but ${holdsFiles(record) ? 'its directory' : 'the disk'} is not there`;
    lost.push({ kind: 'lost-disk', path: relative(layout.directory, path), bytes: 0, ageSeconds: 0, detail });
  }
  return lost;
}

interface Stray {
  kind: string;
  path: string;
  detail: string;
}

async function describeAll(layout: PoolLayout, strays: readonly Stray[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { kind, path, detail } of strays) {
    const ageSeconds = await ageOf(path);
    if (ageSeconds === undefined) continue; // gone meanwhile
    const bytes = await allocatedBelow(path);
    findings.push({ kind, path: relative(layout.directory, path), bytes, ageSeconds, detail });
  }
  return findings;
}

async function ageOf(path: string): Promise<number | undefined> {
  try {
    const { mtimeMs } = await lstat(path);
    return Math.max(0, Math.round((Date.now() - mtimeMs) / 1000));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
