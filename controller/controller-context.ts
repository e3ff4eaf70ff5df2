// What the rounds of the controller share: the objects as watched, the nodes as told by their workers, and the ways to change both.
import { annotations } from '../domain/annotations.ts';
import type { CdiConfig } from '../domain/custom-resources/cdi-config.ts';
import type { DataImportCron } from '../domain/custom-resources/data-import-cron.ts';
import type { DataSource } from '../domain/custom-resources/data-source.ts';
import type { StorageProfile } from '../domain/custom-resources/storage-profile.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import { Fault } from '../domain/fault.ts';
import type { Claim, StorageClass } from '../domain/kube-shapes.ts';
import type { ObjectMeta, ObjectStore } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import { chooseStorageClass } from '../domain/storage-defaults.ts';
import { isVolumeId, type VolumeId, volumeIdOf } from '../domain/volume-record.ts';
import type { Channel } from '../jobs/channel.ts';
import type { ControllerCalls, WorkerCalls } from '../jobs/channel-protocol.ts';
import type { JobQueues } from '../jobs/job-queues.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import { ownerOf } from './claims/claim-content.ts';
import type { EventRecorder } from './event-recorder.ts';
import type { NodeView, NodeViews, PendingOutcome } from './nodes/node-views.ts';
import type { ObjectCache } from './object-cache.ts';

export type NodeChannel = Channel<WorkerCalls, ControllerCalls>;

/** Objects, kept up to date by watches. */
export interface Caches {
  dataVolumes: ObjectCache<DataVolume>;
  claims: ObjectCache<Claim>;
  storageClasses: ObjectCache<StorageClass>;
  cdiConfigs: ObjectCache<CdiConfig>;
  storageProfiles: ObjectCache<StorageProfile>;
  dataSources: ObjectCache<DataSource>;
  dataImportCrons: ObjectCache<DataImportCron>;
}

export interface ControllerContext {
  store: ObjectStore;
  queues: Pick<JobQueues, 'add' | 'remove'>;
  config: Config;
  logger: Logger;
  provisioning: Provisioning;
  caches: Caches;
  nodes: NodeViews;
  channels: Map<string, NodeChannel>;
  /** Results that are not in the store yet. */
  outcomes: Map<VolumeId, PendingOutcome>;
  /** On a cluster: why a node had no room for the volume, when Kubernetes last wanted it there. */
  refusals: Map<VolumeId, Fault>;
  /** Attempt whose job was put into the queue; forgotten when there is reason to doubt that it is still there. */
  enqueued: Map<VolumeId, number>;
  events: EventRecorder;
  /** By uid of the claim. */
  claimsByVolume: Map<VolumeId, { namespace: string; name: string }>;
  wakeClaim(key: { namespace: string; name: string }): void;
  wakeDataVolume(key: { namespace: string; name: string }): void;
  /** Looks at the claim and its DataVolume again when that object changes. `what` is such as `secret ns/name`. */
  waitFor(what: string, claim: { namespace: string; name: string }): void;
}

export function placeOf(metadata: ObjectMeta): { namespace: string; name: string } {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}

/** The volume of a claim; undefined where its uid is none of ours. */
export function volumeOfClaim(claim: Claim): VolumeId | undefined {
  const id = `pvc-${claim.metadata.uid ?? ''}`;
  return isVolumeId(id) ? volumeIdOf(claim.metadata.uid ?? '') : undefined;
}

/** The node of a claim: where its volume is, else the one that was chosen for it, which may be any name. */
export function nodeOfClaim(context: ControllerContext, claim: Claim, volumeId: VolumeId): string | undefined {
  const holder = context.nodes.holderOf(volumeId);
  if (holder !== undefined) return holder.name;
  const selected = claim.metadata.annotations?.[annotations.selectedNode];
  return selected === '' ? undefined : selected;
}

export function storageClassOf(context: ControllerContext, claim: Claim): StorageClass | undefined {
  const contentType = claim.metadata.annotations?.[annotations.contentType] ?? '';
  const classes = [...context.caches.storageClasses.values()];
  return chooseStorageClass(classes, claim.spec.storageClassName, contentType);
}

/** The class binds when a consumer has chosen a node, and nobody has, nor asked not to wait. */
export function waitsForConsumer(storageClass: StorageClass | undefined, claim: Claim): boolean {
  const told = claim.metadata.annotations ?? {};
  if (storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') return false;
  return told[annotations.selectedNode] === undefined && told[annotations.bindImmediate] === undefined;
}

export function cdiConfigOf(context: ControllerContext): CdiConfig | undefined {
  return context.caches.cdiConfigs.get({ name: 'config' });
}

/** The DataVolume that controls the claim, as watched. */
export function dataVolumeOfClaim(context: ControllerContext, claim: Claim): DataVolume | undefined {
  const owner = ownerOf(claim);
  if (owner === undefined) return undefined;
  const dataVolume = context.caches.dataVolumes.get({ ...placeOf(claim.metadata), name: owner.name });
  return dataVolume?.metadata.uid === owner.uid ? dataVolume : undefined;
}

/** @throws Fault NodeLost */
export function viewOf(context: ControllerContext, node: string): NodeView {
  const view = context.nodes.find(node);
  if (view === undefined) throw new Fault('NodeLost', `no worker of node ${node} has ever connected`);
  return view;
}

/** @throws Fault NodeLost */
export function channelOf(context: ControllerContext, node: string): NodeChannel {
  const channel = context.channels.get(node);
  if (channel === undefined) throw new Fault('NodeLost', `the worker of node ${node} is not connected`);
  return channel;
}
