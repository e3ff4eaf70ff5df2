// How a pool is opened: whose it is, who holds it, what its volumes say, what a killed service left, what room there is. In this order, since
// nothing is cleaned up before the lock is held, and nothing is promised before the records were read.
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Fault, toFault } from '../domain/fault.ts';
import { promisedBytes, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';
import { defaultPoolName, type Enforcement } from '../runtime/pool-settings.ts';
import type { Programs } from '../runtime/programs.ts';
import { BlockVolumes } from './block-volumes.ts';
import { BoundedVolumes } from './bounded-volumes.ts';
import { ClosingDevices } from './closing-devices.ts';
import type { CommitStep } from './commit.ts';
import { FileOwnership } from './file-ownership.ts';
import type { LoopDevices } from './loop-devices.ts';
import type { PlainStep } from './plain-device.ts';
import { markerBeside, openIdentity, type PoolIdentity } from './pool-identity.ts';
import { PoolLayout, type StagingName } from './pool-layout.ts';
import { PoolLedger } from './pool-ledger.ts';
import { type ReceivedAttempt, recoverPool } from './pool-recovery.ts';
import { canReflink, capacityOf, longestFile, measureSpace } from './pool-space.ts';
import type { RemovalStep } from './remove-volume.ts';
import type { SharedRoom } from './shared-room.ts';
import type { GrowthStep } from './volume-growth.ts';
import { type RecordReading, readRecords } from './volume-records.ts';

/** What of pino's logger a pool uses. */
export interface PoolLogger {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

export interface OpenPoolOptions {
  /** By which storage classes mean it. Default: `default`. */
  name?: string;
  directory: string;
  /** Make a pool in an absent or empty directory. */
  create: boolean;
  /** File outside of the pool that remembers its id: see pool-identity.ts. By default `.NAME.pool-id` beside the directory. */
  marker?: string;
  /** How many times its capacity the pool may promise. */
  overcommit: number;
  /** Where other pools of the node may lie on the same file system. */
  room?: SharedRoom;
  logger: PoolLogger;
  /** Owner of data; by default 107:107 where the service is root. */
  owner?: { uid: number; gid: number };
  /** For Block volumes; left out where the service may not attach devices. */
  loops?: LoopDevices | undefined;
  /** How new Filesystem volumes are held to their size, where it can be proved. Default: `none`. */
  enforcement?: Enforcement;
  /** For file systems of volumes; left out where the service may not mount. */
  programs?: Programs | undefined;
  /** Called at the named steps of a change; for tests that stop there. */
  at?: (step: PoolStep) => Promise<void>;
}

/** Where a test may stop a change of a volume. */
export type PoolStep = CommitStep | GrowthStep | PlainStep | RemovalStep;

export interface OpenedPool {
  name: string;
  layout: PoolLayout;
  identity: PoolIdentity;
  ledger: PoolLedger;
  ownership: FileOwnership;
  blocks: BlockVolumes;
  closing: ClosingDevices;
  bounded: BoundedVolumes;
  enforcement: Enforcement;
  records: Map<VolumeId, VolumeRecord>;
  /** What lies in volumes/ and is no readable record. */
  unread: RecordReading[];
  /** Of these the volumes, and why their records cannot be read. */
  unreadable: ReadonlyMap<VolumeId, Fault>;
  received: ReceivedAttempt[];
  /** Attempts that have marked how far they had come. */
  kept: StagingName[];
  /** Directories in staging/ that nobody wants any more. */
  doomed: string[];
  logger: PoolLogger;
  readOnly: Fault | undefined;
  reflink: boolean;
  longestFileBytes: number;
  overcommit: number;
  at(step: PoolStep): Promise<void>;
}

/** @throws Fault PoolMissing, PoolInUse, NewerVersion; then the pool is as it was and not held */
export async function openPool(options: OpenPoolOptions): Promise<OpenedPool> {
  const layout = new PoolLayout(resolve(options.directory));
  const marker = options.marker ?? markerBeside(layout.directory);
  const identity = await openIdentity(layout, { create: options.create, marker });
  const ledger = await PoolLedger.open(layout);
  try {
    return await openHeld(options, layout, identity, ledger);
  } catch (error) {
    ledger.close();
    throw error;
  }
}

async function openHeld(
  options: OpenPoolOptions,
  layout: PoolLayout,
  identity: PoolIdentity,
  ledger: PoolLedger,
): Promise<OpenedPool> {
  const readings = await readRecords(layout);
  const records = new Map<VolumeId, VolumeRecord>();
  for (const reading of readings) if (reading.kind === 'record') records.set(reading.record.volumeId, reading.record);
  const unread = readings.filter(({ kind }) => kind !== 'record');
  for (const reading of unread) options.logger.warn(factsOf(reading), 'a volume of the pool cannot be read');
  const unreadable = new Map(unread.flatMap(whyUnreadable));
  const readOnly = [...unreadable.values()].find(({ code }) => code === 'PoolReadOnly');
  const ownership = new FileOwnership(options.owner);
  ledger.rebuild([...records.values()].map((record) => ({ key: record.volumeId, bytes: promisedBytes(record) })));
  const closing = new ClosingDevices({ loops: options.loops, ledger });
  const blocks = new BlockVolumes({ layout, ownership, loops: options.loops, closing });
  if (readOnly === undefined) {
    await blocks.settle(records, (volumeId, fault) => {
      options.logger.warn({ volumeId, fault: fault.message }, 'a Block volume has no device');
    });
  }
  const bounded = new BoundedVolumes({ layout, ownership, loops: options.loops, programs: options.programs });
  if (readOnly === undefined) {
    await bounded.settle(records, (volumeId, fault) => {
      options.logger.warn({ volumeId, fault: fault.message }, 'the file system of a volume is not mounted');
      // What would be read and written there is not the volume's.
      records.delete(volumeId);
      unread.push({ kind: 'corrupt', volumeId, fault });
      unreadable.set(volumeId, fault);
    });
  }
  const recovery =
    readOnly === undefined ? await recoverPool(layout, records, new Set(unreadable.keys()), ownership) : undefined;
  if (recovery !== undefined && recovery.removed.length > 0) {
    options.logger.info({ removed: recovery.removed }, 'removed what a former service left');
  }
  const space = await measureSpace([layout.volumes, layout.staging], layout.directory);
  const capacityBytes = capacityOf(space);
  ledger.usedBytes = space.usedBytes;
  options.room?.join((await stat(layout.directory)).dev, ledger);
  ledger.limitBytes = Math.floor(capacityBytes * options.overcommit);
  return {
    name: options.name ?? defaultPoolName,
    ...{ layout, identity, ledger, records, unread, unreadable, readOnly },
    ...{ ownership, blocks, closing, bounded },
    enforcement: await provedEnforcement(options, bounded),
    received: recovery?.received ?? [],
    kept: recovery?.kept ?? [],
    doomed: recovery?.doomed ?? [],
    logger: options.logger,
    reflink: await canReflink(layout.staging),
    longestFileBytes: await longestFile(layout.staging),
    overcommit: options.overcommit,
    at: options.at ?? (async () => undefined),
  };
}

/** What cannot be proved is not told. */
async function provedEnforcement(
  { enforcement = 'none', logger }: OpenPoolOptions,
  bounded: BoundedVolumes,
): Promise<Enforcement> {
  try {
    if (enforcement === 'none') await bounded.forgetProof();
    else await bounded.prove();
    return enforcement;
  } catch (error) {
    logger.warn({ enforcement, fault: toFault(error).message }, 'the pool cannot hold volumes to their size');
    return 'none';
  }
}

function whyUnreadable(reading: RecordReading): [VolumeId, Fault][] {
  switch (reading.kind) {
    case 'corrupt':
      return [[reading.volumeId, reading.fault]];
    case 'newer': {
      const detail = `${reading.volumeId}/volume.json has version ${reading.version}`;
      return [[reading.volumeId, new Fault('PoolReadOnly', detail)]];
    }
    default:
      return [];
  }
}

function factsOf(reading: RecordReading): object {
  switch (reading.kind) {
    case 'corrupt':
      return { volumeId: reading.volumeId, fault: reading.fault.message };
    case 'newer':
      return { volumeId: reading.volumeId, version: reading.version };
    case 'foreign':
      return { name: reading.name };
    case 'record':
      return { volumeId: reading.record.volumeId };
  }
}
