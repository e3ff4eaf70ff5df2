// What becomes of volumes whose objects are lost with their store: of a store that is new they come back by themselves, as soon as their pool is seen; of any
// other when somebody asks. Nothing of a volume is changed, and an object that is there is left as it is.

import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault, toFault } from '../../domain/fault.ts';
import { exitCodes } from '../../domain/fault-catalogue.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import type { ControllerContext } from '../controller-context.ts';
import type { NodeConnections } from './node-connections.ts';
import type { HeldVolume } from './node-views.ts';
import { rebuiltObjects } from './rebuilt-objects.ts';

/** What only a store can that is ours alone. */
export interface ObjectRestorer {
  /** Nobody has yet seen all that lies on the pools since the store was made. */
  isNew(): Promise<boolean>;
  /** All was seen. */
  settle(): Promise<void>;
  /** Makes it where it is not there. */
  namespace(name: string): Promise<void>;
  /** With the uid that it had. @throws Fault AlreadyExists */
  claim(claim: Claim): Promise<Claim>;
}

export interface LostStoreOptions {
  context: ControllerContext;
  connections: Pick<NodeConnections, 'sweepOrphans'>;
  /** Undefined where the store is somebody else's. */
  restorer: ObjectRestorer | undefined;
}

export class LostStore {
  readonly #context: ControllerContext;
  readonly #connections: Pick<NodeConnections, 'sweepOrphans'>;
  readonly #restorer: ObjectRestorer | undefined;
  #looking: Promise<void> | undefined;
  #isSettled = false;

  constructor({ context, connections, restorer }: LostStoreOptions) {
    this.#context = context;
    this.#connections = connections;
    this.#restorer = restorer;
  }

  /** Brings back what the pools hold, where the store is new. One look at a time. */
  async look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** @throws Fault AlreadyExists, VolumeCorrupt, VolumeNotFilled; InvalidRequest where objects are not ours to make */
  async restore(volume: HeldVolume): Promise<void> {
    if (this.#restorer === undefined) {
      throw new Fault('InvalidRequest', 'on a cluster claims come back with the backup of its API server');
    }
    const { claim, dataVolume } = rebuiltObjects(volume);
    const { store, caches, logger, wakeClaim } = this.#context;
    const { namespace, name } = volume.owner;
    if ((await store.get(resources.claims, { namespace, name })) !== undefined) {
      throw new Fault('AlreadyExists', `the claim ${namespace}/${name} is there, with another volume`);
    }
    await this.#restorer.namespace(namespace);
    // Before its claim: a claim that is there is not looked at again.
    if (dataVolume !== undefined) await this.#makeDataVolume(dataVolume);
    caches.claims.put(await this.#restorer.claim(claim));
    wakeClaim({ namespace, name });
    logger.warn({ volumeId: volume.volumeId, claim: `${namespace}/${name}` }, 'a claim was made anew of its volume');
  }

  async #look(): Promise<void> {
    if (this.#isSettled || this.#restorer === undefined) return;
    if (!(await this.#restorer.isNew())) {
      this.#isSettled = true;
      return;
    }
    const views = [...this.#context.nodes.all()];
    // Asked before the look: a pool that comes meanwhile is seen by the next one.
    const isAll = views.length > 0 && views.every(({ known, pools }) => known && pools.every(isSeen));
    const kept = await this.#connections.sweepOrphans({ onlyLook: true });
    // Of two for one name it is the one that was made last.
    const volumes = kept.map(({ volume }) => volume).filter(isContent);
    volumes.sort((one, other) => Date.parse(other.createdAt) - Date.parse(one.createdAt));
    let failed = false;
    for (const volume of volumes) failed = (await this.#tryRestore(volume)) || failed;
    if (isAll && !failed) await this.#restorer.settle();
  }

  /** @returns whether it is to be tried again */
  async #tryRestore(volume: HeldVolume): Promise<boolean> {
    try {
      await this.restore(volume);
      return false;
    } catch (error) {
      const fault = toFault(error);
      this.#context.logger.warn({ volumeId: volume.volumeId, err: fault }, 'a volume stays without a claim');
      return fault.retryable || fault.row.exit === exitCodes.machine.code;
    }
  }

  async #makeDataVolume(dataVolume: DataVolume): Promise<void> {
    try {
      await this.#context.store.create(resources.dataVolumes, dataVolume);
    } catch (error) {
      // Somebody was faster: it takes the claim over, or says why not.
      if (toFault(error).code !== 'AlreadyExists') throw error;
    }
  }
}

function isSeen({ fault }: { fault?: unknown }): boolean {
  return fault === undefined;
}

function isContent({ state }: HeldVolume): boolean {
  return state === 'complete' || state === 'plain';
}
