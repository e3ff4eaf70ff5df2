// One round for a DataVolume: gather facts, decide, write. Status in which only progress moved is written at most once a second.

import { isDeepStrictEqual } from 'node:util';
import { adoptsClaims } from '../../domain/admission.ts';
import type { DataVolume, DataVolumeStatus } from '../../domain/data-volume.ts';
import { type Fault, toFault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { withFoundSource } from '../../domain/named-source.ts';
import { renderClaim } from '../../domain/render-claim.ts';
import { resources } from '../../domain/resources.ts';
import { RefusedClaims } from '../claims/refused-claims.ts';
import {
  type ControllerContext,
  cdiConfigOf,
  placeOf,
  storageClassOf,
  volumeOfClaim,
  waitsForConsumer,
} from '../controller-context.ts';
import { withoutProgress } from './longshore-status.ts';
import { type DataVolumeAction, type DataVolumeFacts, reconcileDataVolume } from './reconcile-data-volume.ts';

const progressEveryMs = 1_000;
const mostPasses = 8;
const refusals: ReadonlySet<FaultCode> = new Set(['Quota', 'Forbidden', 'InvalidRequest']);

interface Place {
  namespace: string;
  name: string;
}

export class DataVolumeRounds {
  readonly #context: ControllerContext;
  /** When a status was written last, of the DataVolumes that are there. */
  readonly #writtenAt = new Map<string, number>();
  readonly #refused = new RefusedClaims();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** @returns milliseconds after which to look again */
  async work(place: Place): Promise<number | undefined> {
    let refusal: Fault | undefined;
    for (let pass = 0; pass < mostPasses; pass += 1) {
      const stored = this.#context.caches.dataVolumes.get(place);
      if (stored === undefined) {
        this.#writtenAt.delete(nameOf(place));
        this.#refused.forget(nameOf(place));
        return undefined;
      }
      const dataVolume = withFoundSource(stored);
      const actions = reconcileDataVolume(dataVolume, { ...this.#facts(dataVolume), refusal });
      const wait = this.#waitForProgress(dataVolume, actions);
      if (wait !== undefined) return wait;
      const done = await this.#act(dataVolume, actions);
      if (!done.moved) return this.#whenRefused(place, refusal);
      // What was refused is told by the next pass.
      refusal = done.refusal;
    }
    return progressEveryMs;
  }

  /** @returns milliseconds after which a claim that was refused is tried again */
  #whenRefused(place: Place, refusal: Fault | undefined): number | undefined {
    if (refusal !== undefined) return this.#refused.waitMs(nameOf(place), Date.now());
    this.#refused.forget(nameOf(place));
    return undefined;
  }

  #facts(dataVolume: DataVolume): Omit<DataVolumeFacts, 'refusal'> {
    const context = this.#context;
    const place = placeOf(dataVolume.metadata);
    const claim = context.caches.claims.get(place);
    const cloneSource = this.#cloneSource(dataVolume, place);
    const rendered = renderClaim(dataVolume, {
      storageClasses: [...context.caches.storageClasses.values()],
      storageProfiles: [...context.caches.storageProfiles.values()],
      ...{ cdiConfig: cdiConfigOf(context), cloneSource, provisioning: context.provisioning },
    });
    const volumeId = claim === undefined ? undefined : volumeOfClaim(claim);
    const storageClass = claim === undefined ? undefined : storageClassOf(context, claim);
    return {
      ...{ claim, rendered, cloneSource },
      adoptsClaims: adoptsClaims(cdiConfigOf(context)),
      waitsForConsumer: claim !== undefined && waitsForConsumer(storageClass, claim),
      missingClass: storageClass === undefined ? claim?.spec.storageClassName || undefined : undefined,
      live: volumeId === undefined ? undefined : context.nodes.holderOf(volumeId)?.live.get(volumeId),
      now: new Date(),
    };
  }

  #cloneSource(dataVolume: DataVolume, place: Place): Claim | undefined {
    const source = dataVolume.spec.source?.pvc;
    if (source === undefined) return undefined;
    const namespace = source.namespace === '' ? place.namespace : source.namespace;
    this.#context.waitFor(`claim ${namespace}/${source.name}`, place);
    return this.#context.caches.claims.get({ namespace, name: source.name });
  }

  /** Milliseconds to wait where nothing but progress would be written, and that was written just now. */
  #waitForProgress(dataVolume: DataVolume, actions: readonly DataVolumeAction[]): number | undefined {
    const only = actions.length === 1 ? actions[0] : undefined;
    if (only?.kind !== 'status') return undefined;
    if (!isDeepStrictEqual(withoutProgress(only.status), withoutProgress(dataVolume.status))) return undefined;
    const sinceMs = Date.now() - (this.#writtenAt.get(nameOf(placeOf(dataVolume.metadata))) ?? 0);
    return sinceMs < progressEveryMs ? progressEveryMs - sinceMs : undefined;
  }

  /** @returns whether the next pass is to see something new: what was changed, or why it could not be */
  async #act(
    dataVolume: DataVolume,
    actions: readonly DataVolumeAction[],
  ): Promise<{ moved: boolean; refusal?: Fault }> {
    let moved = false;
    for (const action of actions) {
      switch (action.kind) {
        case 'createClaim': {
          const name = nameOf(placeOf(dataVolume.metadata));
          const standing = this.#refused.standing(name, action.claim, Date.now());
          const refusal = standing ?? (await this.#createClaim(action.claim));
          if (refusal !== undefined) return { moved: true, refusal };
          moved = true;
          break;
        }
        case 'ownClaim':
          await this.#ownClaim(dataVolume, action.owner);
          moved = true;
          break;
        case 'annotate':
          await this.#annotate(dataVolume, action);
          moved = true;
          break;
        case 'status':
          await this.#writeStatus(dataVolume, action.status);
          break;
        case 'event':
          this.#context.events.record(dataVolume, action);
          break;
      }
    }
    return { moved };
  }

  /** @returns why the store refuses it: a quota, a policy, a field */
  async #createClaim(claim: Claim): Promise<Fault | undefined> {
    const { store, caches } = this.#context;
    try {
      caches.claims.put(await store.create(resources.claims, claim));
    } catch (error) {
      const fault = toFault(error);
      if (refusals.has(fault.code)) {
        this.#refused.add(nameOf(placeOf(claim.metadata)), claim, fault, Date.now());
        return fault;
      }
      if (fault.code !== 'AlreadyExists') throw error;
      // The watch has not told of it yet.
      const there = await store.get(resources.claims, placeOf(claim.metadata));
      if (there !== undefined) caches.claims.put(there);
    }
    return undefined;
  }

  async #ownClaim(
    dataVolume: DataVolume,
    owner: NonNullable<Claim['metadata']['ownerReferences']>[number],
  ): Promise<void> {
    const { store, caches } = this.#context;
    const claim = caches.claims.get(placeOf(dataVolume.metadata));
    if (claim === undefined) return;
    const ownerReferences = [...(claim.metadata.ownerReferences ?? []), owner];
    caches.claims.put(
      await store.update(resources.claims, { ...claim, metadata: { ...claim.metadata, ownerReferences } }),
    );
  }

  async #annotate(
    { metadata: { namespace = '', name } }: DataVolume,
    added: Extract<DataVolumeAction, { kind: 'annotate' }>,
  ): Promise<void> {
    const { store, caches } = this.#context;
    const stored = caches.dataVolumes.get({ namespace, name });
    if (stored === undefined) return;
    const annotations = { ...stored.metadata.annotations, ...added.annotations };
    const labels = { ...added.labels, ...stored.metadata.labels };
    const metadata = { ...stored.metadata, annotations, ...(added.labels === undefined ? {} : { labels }) };
    caches.dataVolumes.put(await store.update(resources.dataVolumes, { ...stored, metadata }));
  }

  /** The status alone is ours, so it is written whatever the version of the rest; but the known one is mostly the current one, and saves a question. */
  async #writeStatus(dataVolume: DataVolume, status: DataVolumeStatus): Promise<void> {
    const { store, caches } = this.#context;
    const current = caches.dataVolumes.get(placeOf(dataVolume.metadata)) ?? dataVolume;
    const { resourceVersion: _, ...metadata } = current.metadata;
    this.#writtenAt.set(nameOf(placeOf(dataVolume.metadata)), Date.now());
    try {
      const write = (written: DataVolume) => store.updateStatus(resources.dataVolumes, { ...written, status });
      const written = await write(current).catch((error: unknown) => {
        if (toFault(error).code !== 'Conflict') throw error;
        return write({ ...current, metadata });
      });
      caches.dataVolumes.put(written);
    } catch (error) {
      if (toFault(error).code !== 'NotFound') throw error;
      caches.dataVolumes.forget(placeOf(dataVolume.metadata));
    }
  }
}

function nameOf({ namespace, name }: Place): string {
  return `${namespace}/${name}`;
}
