// One round for a claim: gather facts, decide, act, and again until nothing is left to do. A command that fails becomes a fact of the next pass, which
// tells it on the object; the round is then repeated with a growing delay.
import { volumeFinalizer } from '../../domain/annotations.ts';
import { Fault, toFault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { isVolumeId, type VolumeId } from '../../domain/volume-record.ts';
import type { ResultOf, WorkerCalls } from '../../jobs/channel-protocol.ts';
import { type ControllerContext, channelOf, placeOf, viewOf, volumeOfClaim } from '../controller-context.ts';
import { blocksOf, checksumOf } from '../inputs/attempt-inputs.ts';
import type { HeldVolume } from '../nodes/node-views.ts';
import type { ClaimAction, ClaimPatch } from './claim-actions.ts';
import { claimFacts } from './claim-facts.ts';
import { MetObstacles } from './met-obstacles.ts';
import { contentGeneration, reconcileClaim } from './reconcile-claim.ts';

const mostPasses = 16;
/** A job that was asked while the one of the same id was ending is not there; it is asked again after that. */
const doubtAfterMs = 1_500;

type Command = Exclude<ClaimAction, { kind: 'patch' | 'patchStatus' | 'event' | 'outcomeTaken' | 'again' }>;

export class ClaimRounds {
  readonly #context: ControllerContext;
  readonly #obstacles = new MetObstacles();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** @returns milliseconds after which to look again */
  async work(key: { namespace: string; name: string }): Promise<number | undefined> {
    const name = `${key.namespace}/${key.name}`;
    let obstacle: Fault | undefined;
    let growthFault: Fault | undefined;
    let again: number | undefined;
    for (let pass = 0; pass < mostPasses; pass += 1) {
      const claim = this.#context.caches.claims.get(key);
      const volumeId = claim === undefined ? undefined : volumeOfClaim(claim);
      if (claim === undefined || volumeId === undefined) {
        this.#obstacles.forget(name);
        return undefined;
      }
      const facts = await claimFacts(this.#context, claim, volumeId, { obstacle, growthFault });
      const done = await this.#act(claim, volumeId, reconcileClaim(claim, facts));
      again = done.again ?? again;
      if (obstacle !== undefined) return this.#delayAfter(name, volumeId, obstacle);
      if (done.failed === 'expand') growthFault = done.obstacle;
      else obstacle = done.obstacle;
      if (!done.moved && growthFault !== undefined) return this.#delayAfter(name, volumeId, growthFault);
      if (!done.moved && obstacle === undefined) {
        this.#obstacles.forget(name);
        return again;
      }
    }
    throw new Fault('Internal', `the claim ${name} does not come to rest`);
  }

  #delayAfter(claim: string, volumeId: VolumeId, obstacle: Fault): number {
    const { delayMs, isNew } = this.#obstacles.add(claim, obstacle);
    if (isNew) this.#context.logger.info({ claim, volumeId, err: obstacle }, 'claim waits');
    return delayMs;
  }

  async #act(
    claim: Claim,
    volumeId: VolumeId,
    actions: readonly ClaimAction[],
  ): Promise<{ moved: boolean; obstacle?: Fault; failed?: Command['kind']; again?: number }> {
    let moved = false;
    let again: number | undefined;
    for (const action of actions) {
      switch (action.kind) {
        case 'again':
          again = action.afterMs;
          continue;
        case 'event':
          this.#context.events.record(claim, action);
          continue;
        case 'outcomeTaken':
          this.#context.outcomes.delete(volumeId);
          continue;
        case 'patch':
          await this.#patch(claim, action.patch);
          break;
        case 'patchStatus':
          await this.#patchStatus(claim, action.status);
          break;
        default: {
          const obstacle = await this.#command(claim, volumeId, action);
          if (obstacle !== undefined) return { moved: true, obstacle, failed: action.kind };
          if (action.kind === 'enqueue' && action.payload.operation === 'convert') again = doubtAfterMs;
        }
      }
      moved = true;
    }
    return { moved, ...(again === undefined ? {} : { again }) };
  }

  /** @returns why it could not be done; undefined also where the facts were stale and the next pass knows better */
  async #command(claim: Claim, volumeId: VolumeId, action: Command): Promise<Fault | undefined> {
    try {
      await this.#run(claim, volumeId, action);
      return undefined;
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === 'NotFound') {
        viewOf(this.#context, action.node).volumes.delete(volumeId);
        return undefined;
      }
      if (fault.code !== 'StaleAttempt') return fault;
      return this.#refresh(action.node, volumeId);
    }
  }

  /** The volume's record says otherwise than we thought: asks the worker for all that it knows. */
  async #refresh(node: string, volumeId: VolumeId): Promise<Fault | undefined> {
    try {
      const inventory = await channelOf(this.#context, node).call('inventory', {});
      const found = inventory.volumes.find((volume) => volume.volumeId === volumeId);
      const { volumes } = viewOf(this.#context, node);
      if (found === undefined) volumes.delete(volumeId);
      else volumes.set(volumeId, { ...found, volumeId });
      return undefined;
    } catch (error) {
      return toFault(error);
    }
  }

  async #run(claim: Claim, volumeId: VolumeId, action: Command): Promise<void> {
    const context = this.#context;
    const view = viewOf(context, action.node);
    switch (action.kind) {
      case 'reserve': {
        const { sizeBytes, mode, sectorBytes, pool } = action;
        const owner = { ...placeOf(claim.metadata), uid: claim.metadata.uid ?? '' };
        const answer = await channelOf(context, action.node).call('volume.reserve', {
          ...{ volumeId, owner, mode, sizeBytes, generation: contentGeneration },
          ...(sectorBytes === undefined ? {} : { sectorBytes }),
          ...(pool === undefined ? {} : { pool }),
        });
        view.take(recordOf(answer));
        return;
      }
      case 'expand': {
        const asked = { volumeId, sizeBytes: action.sizeBytes };
        view.take(recordOf(await channelOf(context, action.node).call('volume.expand', asked)));
        return;
      }
      case 'fence': {
        const asked = { volumeId, attempt: action.attempt, generation: contentGeneration };
        view.volumes.set(volumeId, recordOf(await channelOf(context, action.node).call('volume.claimFence', asked)));
        if ((view.live.get(volumeId)?.attempt ?? 0) < action.attempt) view.live.delete(volumeId);
        return;
      }
      case 'markPlain':
        view.volumes.set(
          volumeId,
          recordOf(await channelOf(context, action.node).call('volume.markPlain', { volumeId })),
        );
        return;
      case 'openUpload':
        return this.#openUpload(claim, volumeId, action);
      case 'cancelAttempt': {
        const { attempt, reason } = action;
        await channelOf(context, action.node).call('attempt.cancel', { volumeId, attempt, reason });
        view.live.delete(volumeId);
        return;
      }
      case 'deleteVolume':
        await channelOf(context, action.node).call('volume.delete', { volumeId });
        view.forget(volumeId);
        return;
      case 'enqueue':
        await context.queues.add(action.node, action.payload, { delayMs: action.delayMs });
        context.enqueued.set(volumeId, action.payload.attempt);
        return;
      case 'dequeue':
        return this.#dequeue(volumeId, action);
    }
  }

  async #openUpload(claim: Claim, volumeId: VolumeId, action: Extract<Command, { kind: 'openUpload' }>): Promise<void> {
    const { kind: _, node: _node, attempt, ...told } = action;
    const checksum = checksumOf(claim);
    const asked = { volumeId, attempt, ...told, ...blocksOf(claim), ...(checksum === undefined ? {} : { checksum }) };
    await channelOf(this.#context, action.node).call('upload.open', asked);
    const { live } = viewOf(this.#context, action.node);
    if (live.get(volumeId)?.attempt !== attempt) live.set(volumeId, { attempt, doing: 'waiting' });
  }

  /** A job that stays behind finds the fence gone on and ends by itself, so Redis need not be there for this. */
  async #dequeue(volumeId: VolumeId, action: Extract<Command, { kind: 'dequeue' }>): Promise<void> {
    this.#context.enqueued.delete(volumeId);
    try {
      await this.#context.queues.remove(action.node, { volumeId, attempt: action.attempt });
    } catch (error) {
      this.#context.logger.debug({ err: toFault(error), volumeId }, 'job not removed');
    }
  }

  async #patch(claim: Claim, patch: ClaimPatch): Promise<void> {
    const { caches, store } = this.#context;
    const current = caches.claims.get(placeOf(claim.metadata)) ?? claim;
    const written = await store.update(resources.claims, patched(current, patch));
    caches.claims.put(written);
  }

  async #patchStatus(claim: Claim, status: NonNullable<Claim['status']>): Promise<void> {
    const { caches, store } = this.#context;
    const current = caches.claims.get(placeOf(claim.metadata)) ?? claim;
    caches.claims.put(await store.updateStatus(resources.claims, { ...current, status }));
  }
}

function recordOf(answer: ResultOf<WorkerCalls['volume.reserve']>): HeldVolume {
  const { volumeId } = answer;
  if (!isVolumeId(volumeId)) throw new Fault('MalformedRequest', `${volumeId} is not the id of a volume`);
  return { ...answer, volumeId };
}

function patched(claim: Claim, patch: ClaimPatch): Claim {
  const kept = Object.entries({ ...claim.metadata.annotations, ...patch.annotations });
  const annotations = Object.fromEntries(kept.filter((entry): entry is [string, string] => entry[1] !== null));
  const others = (claim.metadata.finalizers ?? []).filter((finalizer) => finalizer !== volumeFinalizer);
  const finalizers =
    patch.finalizer === undefined
      ? claim.metadata.finalizers
      : patch.finalizer === 'add'
        ? [...others, volumeFinalizer]
        : others;
  return {
    ...claim,
    metadata: {
      ...{ ...claim.metadata, annotations },
      ...(patch.labels === undefined ? {} : { labels: { ...patch.labels, ...claim.metadata.labels } }),
      ...(finalizers === undefined ? {} : { finalizers }),
    },
    spec: patch.volumeName === undefined ? claim.spec : { ...claim.spec, volumeName: patch.volumeName },
  };
}
