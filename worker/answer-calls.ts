// The worker's answers to the controller: volumes by the pool, attempts by what runs here. Every call may come twice.
import { Fault, faultRecord, toFault } from '../domain/fault.ts';
import type { SourceVersion } from '../domain/source-version.ts';
import { holdsFiles, isVolumeId, type VolumeId } from '../domain/volume-record.ts';
import { probeSource } from '../importer/probe-source.ts';
import { versionOfSource } from '../importer/version-of-source.ts';
import type { Inventory, SourceFacts } from '../jobs/channel-protocol.ts';
import type { SourceInputs } from '../jobs/source-inputs.ts';
import type { Config } from '../runtime/config.ts';
import type { Programs } from '../runtime/programs.ts';
import { contentDigestOfFile, sha256OfFile } from '../volumes/content-digest.ts';
import type { Pool } from '../volumes/pool.ts';
import type { Pools } from '../volumes/pools.ts';
import { removeStray } from '../volumes/remove-stray.ts';
import { treeDigest } from '../volumes/tree-digest.ts';
import type { Attempts } from './attempts.ts';
import type { WorkerChannel } from './channel-client.ts';
import type { Outbox } from './outbox.ts';
import { explainByPool } from './pool-gone.ts';
import { examine, tellPools, told, unreadableOf } from './pool-reports.ts';
import { SharedRuns } from './shared-runs.ts';
import type { UploadSlot, UploadSlots } from './upload-slots.ts';

export interface AnswerOptions {
  config: Config;
  programs: Programs;
  pools: Pools;
  attempts: Attempts;
  slots: UploadSlots;
  outbox: Outbox;
  looks: Looks;
  /** Ends what is looked at when the worker stops. */
  signal: AbortSignal;
}

/** Reads of whole volumes: they take the disk and the processors from transfers. */
const digestsAtOnce = { what: 'digests', atOnce: 2, mostWaiting: 16 };
const probesAtOnce = { what: 'probes', atOnce: 8, mostWaiting: 32 };
const versionsAtOnce = { what: 'looks at sources', atOnce: 8, mostWaiting: 32 };

/** What is looked at for the controller now, over all its connections. */
export interface Looks {
  digests: SharedRuns<string>;
  probes: SharedRuns<SourceFacts>;
  versions: SharedRuns<SourceVersion>;
}

export function noLooks(): Looks {
  return {
    digests: new SharedRuns(digestsAtOnce),
    probes: new SharedRuns(probesAtOnce),
    versions: new SharedRuns(versionsAtOnce),
  };
}

interface Attempt {
  volumeId: VolumeId;
  attempt: number;
}

/** Registers an answer to each of workerCalls. */
export function answerCalls(channel: WorkerChannel, options: AnswerOptions): void {
  const { pools, attempts, slots } = options;
  channel.handle('inventory', () => inventoryOf(options));
  channel.handle('volume.reserve', async ({ pool, ...asked }) =>
    told(await pools.reserve({ ...asked, volumeId: volumeIdIn(asked) }, pool)),
  );
  channel.handle('volume.expand', async ({ sizeBytes, ...asked }) => {
    const volumeId = volumeIdIn(asked);
    const pool = pools.holderOf(volumeId);
    return told({ pool, record: await pool.expand(volumeId, sizeBytes) });
  });
  channel.handle('volume.claimFence', async ({ attempt, generation, ...asked }) => {
    const volumeId = volumeIdIn(asked);
    const pool = pools.holderOf(volumeId);
    const record = await pool.claimFence(volumeId, { attempt, generation });
    await attempts.endEarlier(volumeId, attempt);
    attempts.announceGivenUp(volumeId, new Fault('StaleAttempt', `attempt ${attempt} owns ${volumeId} now`), attempt);
    return told({ pool, record });
  });
  channel.handle('volume.markPlain', async (asked) => {
    const volumeId = volumeIdIn(asked);
    const pool = pools.holderOf(volumeId);
    return told({ pool, record: await pool.markPlain(volumeId) });
  });
  channel.handle('volume.delete', async (asked) => {
    await deleteVolume(volumeIdIn(asked), options);
    return {};
  });
  channel.handle('volume.digest', async (asked, signal) => {
    const pool = pools.holderOf(volumeIdIn(asked));
    try {
      return await digestOf(volumeIdIn(asked), asked.sha256, { ...options, pool }, signal);
    } catch (error) {
      throw await explainByPool(toFault(error, { signal }), pool);
    }
  });
  channel.handle('upload.open', async ({ volumeId, ...asked }) => {
    openUpload({ ...asked, volumeId: volumeIdIn({ volumeId }) }, pools, slots);
    return {};
  });
  channel.handle('attempt.cancel', async ({ attempt, reason, ...asked }) => {
    await cancel({ volumeId: volumeIdIn(asked), attempt }, reason, options);
    return {};
  });
  channel.handle('source.probe', ({ source }, signal) => probe(source, options, signal));
  channel.handle('source.version', ({ source }, signal) => version(source, options, signal));
  channel.handle('doctor', () => examine(pools));
  channel.handle('doctor.remove', async ({ pool, path }) => {
    await removeStray(pools.named(pool), path);
    return {};
  });
}

/** @throws Fault InvalidRequest */
function volumeIdIn({ volumeId }: { volumeId: string }): VolumeId {
  if (!isVolumeId(volumeId)) throw new Fault('InvalidRequest', `${volumeId} is not the id of a volume`);
  return volumeId;
}

async function inventoryOf({ pools, attempts, slots, outbox }: AnswerOptions): Promise<Inventory> {
  return {
    volumes: pools.list().map(told),
    unreadable: pools.all().flatMap(unreadableOf),
    running: attempts.list(),
    waiting: slots.waiting().map(({ volumeId, attempt }) => ({ volumeId, attempt })),
    received: pools.received(),
    undelivered: outbox.undelivered(),
    pools: await tellPools(pools),
  };
}

/** Ends whatever fills the volume and removes it; one that is not there is no error. */
export async function deleteVolume(
  volumeId: VolumeId,
  { pools, attempts, slots }: Pick<AnswerOptions, 'pools' | 'attempts' | 'slots'>,
): Promise<void> {
  slots.close({ volumeId });
  const why = new Fault('Cancelled', `${volumeId} was deleted`);
  const running = attempts.list().filter((key) => key.volumeId === volumeId);
  await Promise.all(running.map((key) => attempts.end(key, why)));
  attempts.announceGivenUp(volumeId, why);
  await pools.delete(volumeId);
}

/** One run for each volume and kind, whoever asks. */
async function digestOf(
  volumeId: VolumeId,
  sha256: boolean,
  options: AnswerOptions & { pool: Pool },
  asked: AbortSignal,
) {
  const { pool, looks } = options;
  const signal = AbortSignal.any([options.signal, asked]);
  const path = pool.contentPath(volumeId);
  const record = pool.get(volumeId);
  if (record?.state !== 'complete' && record?.state !== 'plain')
    throw new Fault('SourceNotReady', `${volumeId} is ${record?.state ?? 'absent'}`);
  const isTree = holdsFiles(record);
  if (isTree && sha256) throw new Fault('InvalidRequest', 'a directory of files has no plain sha256');
  const contentDigest = await looks.digests.ask(`${volumeId} content`, signal, async (wanted) => {
    if (isTree) return (await treeDigest(path, { signal: wanted })).contentDigest;
    await using disk = await pool.openDisk(volumeId);
    return (await contentDigestOfFile(disk.path, { signal: wanted })).contentDigest;
  });
  if (!sha256) return { contentDigest, path };
  const plain = async (wanted: AbortSignal) => {
    await using disk = await pool.openDisk(volumeId);
    return await sha256OfFile(disk.path, { signal: wanted });
  };
  return { contentDigest, path, sha256: await looks.digests.ask(`${volumeId} sha256`, signal, plain) };
}

function probe(source: SourceInputs, options: AnswerOptions, asked: AbortSignal): Promise<SourceFacts> {
  const { config, programs, looks } = options;
  const signal = AbortSignal.any([options.signal, asked]);
  return looks.probes.ask(JSON.stringify(source), signal, (wanted) =>
    probeSource(source, { config, programs, signal: wanted }),
  );
}

function version(source: SourceInputs, options: AnswerOptions, asked: AbortSignal): Promise<SourceVersion> {
  const { config, programs, looks } = options;
  const signal = AbortSignal.any([options.signal, asked]);
  return looks.versions.ask(JSON.stringify(source), signal, (wanted) =>
    versionOfSource(source, { config, programs, signal: wanted }),
  );
}

function openUpload(asked: Attempt & Omit<UploadSlot, 'volumeId' | 'attempt'>, pools: Pools, slots: UploadSlots): void {
  const { volumeId, attempt } = asked;
  const pool = pools.holderOf(volumeId);
  const record = pool.get(volumeId);
  if (record === undefined) throw new Fault('NotFound', `no volume ${volumeId} in this pool`);
  if (record.state === 'complete') return;
  if (record.state !== 'populating' || record.fence !== attempt) {
    throw new Fault('StaleAttempt', `${volumeId} is ${record.state} with attempt ${record.fence}, not ${attempt}`);
  }
  const isReceived = pool.received().some((one) => one.volumeId === volumeId && one.attempt === attempt);
  if (!isReceived) slots.open({ ...asked, sizeBytes: record.sizeBytes });
}

/** Ends it wherever it stands: running, waiting for its bytes, or received and waiting for its conversion. Its result is told once. */
async function cancel(key: Attempt, reason: string, { pools, attempts, slots, outbox }: AnswerOptions): Promise<void> {
  const why = new Fault('Cancelled', reason);
  const waited = slots.close(key);
  const ran = await attempts.end(key, why);
  const isReceived = pools.received().some((one) => one.volumeId === key.volumeId && one.attempt === key.attempt);
  if (isReceived) await (await pools.holderOf(key.volumeId).resumeStaging(key.volumeId, key.attempt)).discard();
  const toldByItself = ran && !waited;
  if (!toldByItself && (waited || isReceived)) {
    const outcome = { ok: false as const, fault: faultRecord(why), bytesFetched: 0 };
    attempts.announce(key, outcome);
    outbox.result(key, outcome);
  }
}
