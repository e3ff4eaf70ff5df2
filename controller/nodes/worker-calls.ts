// The controller's answers to workers. An attempt's inputs are given only to the node that holds it; a result is answered when it is in the store.
import { annotations } from '../../domain/annotations.ts';
import { Fault, faultFromRecord } from '../../domain/fault.ts';
import { exitCodes } from '../../domain/fault-catalogue.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { quantityBytes } from '../../domain/quantity.ts';
import { resources } from '../../domain/resources.ts';
import { isVolumeId, type VolumeId, type VolumeOwner, type VolumeRecord } from '../../domain/volume-record.ts';
import type { AttemptInputs } from '../../jobs/attempt-inputs.ts';
import type { ControllerCalls, ParamsOf, PoolState, Progress } from '../../jobs/channel-protocol.ts';
import { type AttemptState, isEnded, parseAttemptState } from '../claims/attempt-state.ts';
import { contentOfClaim, ownerOf } from '../claims/claim-content.ts';
import { cloneSourceOf } from '../claims/claim-facts.ts';
import {
  type ControllerContext,
  cdiConfigOf,
  channelOf,
  dataVolumeOfClaim,
  type NodeChannel,
  placeOf,
  viewOf,
} from '../controller-context.ts';
import { isCancelled } from '../data-volumes/reconcile-data-volume.ts';
import { attemptInputs } from '../inputs/attempt-inputs.ts';

export interface WorkerCallsOptions {
  context: ControllerContext;
  /** Resolves when the node's inventory has come. */
  inventoryOf(channel: NodeChannel): Promise<void>;
  /** How the pools of the node are now. */
  takePools(channel: NodeChannel, pools: readonly PoolState[]): Promise<void>;
  /** Resolves when a round that begins from now on has ended. */
  runClaim(key: { namespace: string; name: string }): Promise<void>;
}

export function answerWorker(node: string, channel: NodeChannel, options: WorkerCallsOptions): void {
  channel.handle('attempt.inputs', async (asked) => {
    await options.inventoryOf(channel);
    return inputsFor(node, asked, options.context);
  });
  channel.handle('attempt.result', async (told) => {
    await options.inventoryOf(channel);
    await takeResult(node, told, options);
    return {};
  });
  channel.handle('upload.received', async (told) => {
    await options.inventoryOf(channel);
    await takeReceived(node, told, options);
    return {};
  });
  channel.handle('upload.failed', async (told) => {
    await options.inventoryOf(channel);
    await takeFailedUpload(node, told, options);
    return {};
  });
  channel.handle('volume.changed', async ({ volume }) => {
    await options.inventoryOf(channel);
    const volumeId = volumeIdIn(volume);
    viewOf(options.context, node).take({ ...volume, volumeId });
    options.context.refusals.delete(volumeId);
    wakeClaimOf(options.context, volumeId);
    return {};
  });
  channel.handle('volume.gone', async (told) => {
    await options.inventoryOf(channel);
    const volumeId = volumeIdIn(told);
    viewOf(options.context, node).forget(volumeId);
    wakeClaimOf(options.context, volumeId);
    return {};
  });
  channel.handle('volume.refused', async (told) => {
    const volumeId = volumeIdIn(told);
    const { code, detail, retryable, row } = faultFromRecord(told.fault);
    // Another node may have room, so it is not the end of the claim.
    const goesOn = retryable || row.exit === exitCodes.machine.code;
    const fault = new Fault(goesOn ? code : 'PoolFull', `node ${node}: ${detail}`);
    if (options.context.claimsByVolume.has(volumeId)) options.context.refusals.set(volumeId, fault);
    wakeClaimOf(options.context, volumeId);
    return {};
  });
  channel.handle('volume.expandWhereItIs', (asked) => expandWhereItIs(asked, options.context));
  channel.handle('pools.changed', async ({ pools }) => {
    await options.inventoryOf(channel);
    await options.takePools(channel, pools);
    return {};
  });
  channel.handle('claim.pool', async ({ owner }) => {
    await options.inventoryOf(channel);
    const pool = await poolFor(owner, options.context);
    return pool === undefined ? {} : { pool };
  });
  channel.handle('claim.isFilled', async ({ owner }) => ({ filled: await isToBeFilled(owner, options.context) }));
  channel.onProgress((progress) => takeProgress(node, progress, options.context));
}

/** @throws Fault InvalidRequest where the claim asks for less: no worker decides about the room of another node; or where the volume is not such as is asked */
async function expandWhereItIs(
  {
    sizeBytes,
    mostBytes = Number.MAX_SAFE_INTEGER,
    mode,
    ...asked
  }: ParamsOf<ControllerCalls['volume.expandWhereItIs']>,
  context: ControllerContext,
): Promise<{ sizeBytes: number }> {
  const volumeId = volumeIdIn(asked);
  const holder = context.nodes.holderOf(volumeId);
  if (holder === undefined) throw new Fault('NotFound', `no node has told of a volume ${volumeId}`);
  const has = holder.volumes.get(volumeId);
  if (has !== undefined && has.sizeBytes > mostBytes) {
    throw new Fault('InvalidRequest', `the volume has ${has.sizeBytes} bytes, and limit_bytes is ${mostBytes}`);
  }
  if (mode !== undefined && has !== undefined && has.mode !== mode) {
    throw new Fault('InvalidRequest', `${volumeId} has volumeMode ${has.mode}, not ${mode}`);
  }
  const wished = quantityBytes(claimOf(context, volumeId)?.spec.resources?.requests?.['storage'] ?? 0) ?? 0;
  if (sizeBytes > wished) throw new Fault('InvalidRequest', `the claim of ${volumeId} asks for ${wished} bytes only`);
  const grown = await channelOf(context, holder.name).call('volume.expand', { volumeId, sizeBytes });
  holder.take({ ...grown, volumeId });
  return { sizeBytes: grown.sizeBytes };
}

function wakeClaimOf(context: ControllerContext, volumeId: VolumeId): void {
  const place = context.claimsByVolume.get(volumeId);
  if (place !== undefined) context.wakeClaim(place);
}

/** Decided by the store itself: a watch may not have told of a claim that was just made. @throws Fault NotFound */
async function isToBeFilled({ namespace, name, uid }: VolumeOwner, context: ControllerContext): Promise<boolean> {
  const claim = await context.store.get(resources.claims, { namespace, name });
  if (claim === undefined || claim.metadata.uid !== uid) {
    throw new Fault('NotFound', `the claim ${namespace}/${name} (uid ${uid}) is not there`);
  }
  if (claim.spec.dataSource != null || claim.spec.dataSourceRef != null) return true;
  const owner = ownerOf(claim);
  const dataVolume =
    owner === undefined ? undefined : await context.store.get(resources.dataVolumes, { namespace, name: owner.name });
  return contentOfClaim(claim, dataVolume).kind !== 'none';
}

/** The pool that the claim asks for, else that of the source that it is cloned from. @throws Fault NotFound */
async function poolFor({ namespace, name, uid }: VolumeOwner, context: ControllerContext): Promise<string | undefined> {
  const claim = await context.store.get(resources.claims, { namespace, name });
  if (claim === undefined || claim.metadata.uid !== uid) {
    throw new Fault('NotFound', `the claim ${namespace}/${name} (uid ${uid}) is not there`);
  }
  const content = contentOfClaim(claim, dataVolumeOfClaim(context, claim));
  const source = content.kind === 'clone' ? cloneSourceOf(context, claim, content) : undefined;
  return claim.metadata.annotations?.[annotations.pool] ?? (source?.ready === true ? source.pool : undefined);
}

interface Held {
  claim: Claim;
  state: AttemptState;
  volume: VolumeRecord;
}

function volumeIdIn({ volumeId }: { volumeId: string }): VolumeId {
  if (!isVolumeId(volumeId)) throw new Fault('InvalidRequest', `${volumeId} is not the id of a volume`);
  return volumeId;
}

function claimOf(context: ControllerContext, volumeId: VolumeId): Claim | undefined {
  const place = context.claimsByVolume.get(volumeId);
  return place === undefined ? undefined : context.caches.claims.get(place);
}

/** @throws Fault StaleAttempt unless that node holds this attempt and it is still wanted */
function heldAttempt(node: string, volumeId: VolumeId, attempt: number, context: ControllerContext): Held {
  const stale = (why: string) => new Fault('StaleAttempt', `attempt ${attempt} of ${volumeId}: ${why}`);
  const volume = context.nodes.find(node)?.volumes.get(volumeId);
  if (volume === undefined) throw stale(`no such volume on node ${node}`);
  if (volume.fence !== attempt || volume.state !== 'populating')
    throw stale(`${volume.state}, attempt ${volume.fence}`);
  const claim = claimOf(context, volumeId);
  if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) throw stale('the claim is gone');
  const state = parseAttemptState(claim.metadata.annotations?.[annotations.attempt]);
  if (state === undefined || isEnded(state) || state.attempt !== attempt) throw stale('it has ended');
  if (isCancelled(claim.metadata.annotations ?? {})) throw stale('it is cancelled');
  return { claim, state, volume };
}

async function inputsFor(
  node: string,
  asked: ParamsOf<ControllerCalls['attempt.inputs']>,
  context: ControllerContext,
): Promise<AttemptInputs> {
  const volumeId = volumeIdIn(asked);
  const { claim, state, volume } = heldAttempt(node, volumeId, asked.attempt, context);
  const content = contentOfClaim(claim, dataVolumeOfClaim(context, claim));
  const source = content.kind === 'clone' ? cloneSourceOf(context, claim, content) : undefined;
  if (source?.ready === false) throw source.fault;
  const inputs = await attemptInputs({
    ...{ reader: context.store, claim, content, state },
    sizeBytes: volume.sizeBytes,
    cdiConfig: cdiConfigOf(context),
    serviceNamespace: context.config.clusterNamespace,
    cloneSource: source?.volumeId,
  });
  viewOf(context, node).live.set(volumeId, { attempt: asked.attempt, doing: 'running' });
  context.wakeClaim(placeOf(claim.metadata));
  return inputs;
}

/** @throws Fault StaleAttempt unless that node holds the volume with this attempt's fence: nobody tells of another's volume */
function requireFence(node: string, volumeId: VolumeId, attempt: number, context: ControllerContext): void {
  const volume = context.nodes.find(node)?.volumes.get(volumeId);
  if (volume?.fence === attempt) return;
  const why = volume === undefined ? `node ${node} holds no such volume` : `attempt ${volume.fence} owns it`;
  throw new Fault('StaleAttempt', `attempt ${attempt} of ${volumeId}: ${why}`);
}

/** A result of an attempt that is not the current one any more, or of a claim that is gone, is answered and dropped. */
async function takeResult(
  node: string,
  told: ParamsOf<ControllerCalls['attempt.result']>,
  { context, runClaim }: WorkerCallsOptions,
): Promise<void> {
  const volumeId = volumeIdIn(told);
  requireFence(node, volumeId, told.attempt, context);
  const claim = claimOf(context, volumeId);
  const { live, volumes } = viewOf(context, node);
  const record = volumes.get(volumeId);
  if (told.outcome.ok && record?.fence === told.attempt && record.state !== 'complete') {
    const committedAt = new Date().toISOString();
    volumes.set(volumeId, { ...record, state: 'complete', committedAt, report: told.outcome.report });
  }
  const progress = live.get(volumeId)?.progress;
  if (live.get(volumeId)?.attempt === told.attempt) live.delete(volumeId);
  context.enqueued.delete(volumeId);
  if (claim === undefined) return;
  const state = parseAttemptState(claim.metadata.annotations?.[annotations.attempt]);
  if (state?.attempt !== told.attempt || isEnded(state)) return;
  const sourceBytes = progress?.bytesTotal;
  const { attempt, outcome } = told;
  context.outcomes.set(volumeId, { attempt, outcome, ...(sourceBytes === undefined ? {} : { sourceBytes }) });
  await runClaim(placeOf(claim.metadata));
  if (context.outcomes.get(volumeId)?.attempt === attempt)
    throw new Fault('Conflict', 'the result is not in the store yet');
}

/** The slot is open again; the object tells why. A failure of an attempt that is not the current one any more is dropped. */
async function takeFailedUpload(
  node: string,
  told: ParamsOf<ControllerCalls['upload.failed']>,
  { context, runClaim }: WorkerCallsOptions,
): Promise<void> {
  const volumeId = volumeIdIn(told);
  const { attempt, fault } = told;
  requireFence(node, volumeId, attempt, context);
  const claim = claimOf(context, volumeId);
  const state = parseAttemptState(claim?.metadata.annotations?.[annotations.attempt]);
  if (claim === undefined || state?.attempt !== attempt || isEnded(state)) return;
  const { live } = viewOf(context, node);
  if (live.get(volumeId)?.attempt === attempt) live.set(volumeId, { attempt, doing: 'waiting' });
  const outcome = { ok: false as const, fault, bytesFetched: 0 };
  context.outcomes.set(volumeId, { attempt, outcome, slotStays: true });
  await runClaim(placeOf(claim.metadata));
}

async function takeReceived(
  node: string,
  told: ParamsOf<ControllerCalls['upload.received']>,
  { context, runClaim }: WorkerCallsOptions,
): Promise<void> {
  const volumeId = volumeIdIn(told);
  const { claim } = heldAttempt(node, volumeId, told.attempt, context);
  viewOf(context, node).live.set(volumeId, { attempt: told.attempt, doing: 'received' });
  context.enqueued.delete(volumeId);
  await runClaim(placeOf(claim.metadata));
}

function takeProgress(node: string, progress: Progress, context: ControllerContext): void {
  if (!isVolumeId(progress.volumeId)) return;
  const live = context.nodes.find(node)?.live.get(progress.volumeId);
  if (live?.attempt !== progress.attempt) return;
  live.progress = progress;
  const place = context.claimsByVolume.get(progress.volumeId);
  if (place === undefined) return;
  if (live.doing === 'waiting') {
    live.doing = 'running';
    context.wakeClaim(place);
  }
  context.wakeDataVolume(place);
}
