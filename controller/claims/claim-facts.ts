// Gathers what a round of reconciling a claim has to know, from watches, nodes and, where an attempt is about to begin, the store.
import { annotations } from '../../domain/annotations.ts';
import { type SectorBytes, sectorBytesOf, wholeSectors } from '../../domain/block-device.ts';
import { Fault, toFault } from '../../domain/fault.ts';
import type { Claim, StorageClass } from '../../domain/kube-shapes.ts';
import { isOwnClass } from '../../domain/provisioning.ts';
import { quantityBytes } from '../../domain/quantity.ts';
import type { VolumeId } from '../../domain/volume-record.ts';
import { planRetry } from '../../jobs/retry-policy.ts';
import {
  type ControllerContext,
  cdiConfigOf,
  dataVolumeOfClaim,
  nodeOfClaim,
  placeOf,
  storageClassOf,
  volumeOfClaim,
  waitsForConsumer,
} from '../controller-context.ts';
import { isCancelled } from '../data-volumes/reconcile-data-volume.ts';
import { proxyAuthoritiesOf } from '../inputs/import-way.ts';
import { missingOf, namesOf } from '../inputs/source-inputs.ts';
import type { NodeView } from '../nodes/node-views.ts';
import { isEnded, parseAttemptState } from './attempt-state.ts';
import { choosePlace, type Place } from './choose-place.ts';
import type { ClaimFacts, Readiness } from './claim-actions.ts';
import { type ClaimContent, contentOfClaim } from './claim-content.ts';
import { type CloneSource, cloneSource } from './clone-source.ts';

export async function claimFacts(
  context: ControllerContext,
  claim: Claim,
  volumeId: VolumeId,
  { obstacle, growthFault }: Pick<ClaimFacts, 'obstacle' | 'growthFault'>,
): Promise<ClaimFacts> {
  const dataVolume = dataVolumeOfClaim(context, claim);
  const storageClass = storageClassOf(context, claim);
  const content = contentOfClaim(claim, dataVolume);
  const sectors = sectorsOf(claim, storageClass);
  const source = content.kind === 'clone' ? cloneSourceOf(context, claim, content) : undefined;
  const placed = nodeOfClaim(context, claim, volumeId);
  const waits = waitsForConsumer(storageClass, claim);
  const mayChoose = !waits && claim.metadata.deletionTimestamp === undefined;
  const planned = mayChoose ? plannedPlace(context, { claim, storageClass, source, placed, volumeId }) : undefined;
  const place = planned instanceof Fault ? undefined : planned;
  const node = placed ?? place?.node.name;
  const view = node === undefined ? undefined : context.nodes.find(node);
  const state = parseAttemptState(claim.metadata.annotations?.[annotations.attempt]);
  return {
    content,
    ours: isOwnClass(storageClass, context.provisioning),
    provisionedBy: context.provisioning.by,
    waitsForConsumer: waits,
    volumeId,
    sectorBytes: sectors instanceof Fault ? undefined : sectors,
    node: view?.state ?? (placed === undefined ? undefined : context.nodes.stateOf(placed)),
    pool: place?.pool.name,
    volume: view?.volumes.get(volumeId),
    live: view?.live.get(volumeId),
    enqueued: state !== undefined && context.enqueued.get(volumeId) === state.attempt,
    readiness: await readinessOf(context, claim, content, source, view?.live.has(volumeId) === true),
    outcome: context.outcomes.get(volumeId),
    cancelRequested: isWishedToEnd(claim, dataVolume?.metadata.annotations),
    obstacle:
      obstacle ??
      view?.unreadable.get(volumeId) ??
      refusalOf(context, volumeId) ??
      (sectors instanceof Fault ? sectors : undefined) ??
      (planned instanceof Fault ? planned : absenceOf(claim, volumeId, view)),
    growthFault,
    plan: ({ fault, state: failed, bytesFetched }) =>
      planRetry({
        ...{ fault, bytesFetched, config: context.config },
        ...{ attempt: failed.attempt, countedAttempts: failed.failures, sourceBytes: failed.sourceBytes },
      }),
    now: new Date(),
  };
}

/** Undefined for a Filesystem claim; why there can be no device where its sectors are not such as there are. */
function sectorsOf(claim: Claim, storageClass: StorageClass | undefined): SectorBytes | Fault | undefined {
  if (claim.spec.volumeMode !== 'Block') return undefined;
  try {
    return sectorBytesOf(claim, storageClass);
  } catch (error) {
    return toFault(error);
  }
}

/** That a node had no room says nothing once any node holds the volume: its refusal may come late, or be repeated. */
function refusalOf(context: ControllerContext, volumeId: VolumeId): Fault | undefined {
  return context.nodes.holderOf(volumeId) === undefined ? context.refusals.get(volumeId) : undefined;
}

function isWishedToEnd(claim: Claim, ofDataVolume: Readonly<Record<string, string>> | undefined): boolean {
  return isCancelled(claim.metadata.annotations ?? {}) || isCancelled(ofDataVolume ?? {});
}

interface Planned {
  claim: Claim;
  storageClass: StorageClass | undefined;
  source: CloneSource | undefined;
  /** Node that was chosen before. */
  placed: string | undefined;
  volumeId: VolumeId;
}

/** Where the volume of a claim goes that has none yet. A clone goes to the node of its source. */
function plannedPlace(context: ControllerContext, planned: Planned): Place | Fault | undefined {
  const { claim, storageClass, source, placed, volumeId } = planned;
  const isMade = (claim.spec.volumeName ?? '') !== '' || context.nodes.holderOf(volumeId) !== undefined;
  if (isMade || source?.ready === false) return undefined;
  const only = placed ?? source?.node;
  const nodes = context.nodes.usable().filter(({ name }) => only === undefined || name === only);
  return choosePlace(nodes, {
    ofClass: storageClass?.parameters?.['storagePool'],
    pool: claim.metadata.annotations?.[annotations.pool],
    near: source === undefined ? undefined : { node: source.node, pool: source.pool },
    sizeBytes: quantityBytes(claim.spec.resources?.requests?.['storage'] ?? 0) ?? 0,
  });
}

/** A volume that was made and is not seen is not gone while a pool that may hold it is away. */
function absenceOf(claim: Claim, volumeId: VolumeId, view: NodeView | undefined): Fault | undefined {
  if (claim.spec.volumeName !== volumeId || view?.known !== true || view.volumes.has(volumeId)) return undefined;
  const { pools } = view.state;
  const name = claim.metadata.annotations?.[annotations.pool];
  const own = pools.find((pool) => pool.name === name);
  if (own !== undefined) return own.fault;
  if (name !== undefined)
    return new Fault('NoPoolHere', `node ${view.name} has no pool ${name}, which holds the volume`);
  return pools.find(({ fault }) => fault !== undefined)?.fault;
}

/** The source of a clone as it is now; its changes wake the claim. */
export function cloneSourceOf(
  context: ControllerContext,
  claim: Claim,
  content: Extract<ClaimContent, { kind: 'clone' }>,
): CloneSource {
  const namespace = content.source.namespace === '' ? (claim.metadata.namespace ?? '') : content.source.namespace;
  const source = { namespace, name: content.source.name };
  const place = placeOf(claim.metadata);
  context.waitFor(`claim ${namespace}/${source.name}`, place);
  const sourceClaim = context.caches.claims.get(source);
  const sourceVolumeId = sourceClaim === undefined ? undefined : volumeOfClaim(sourceClaim);
  return cloneSource({
    claim,
    dataVolume: dataVolumeOfClaim(context, claim),
    sizeBytes: volumeBytesOf(context, claim),
    source,
    sourceClaim,
    sourceDataVolume: sourceClaim === undefined ? undefined : dataVolumeOfClaim(context, sourceClaim),
    sourceVolume:
      sourceVolumeId === undefined ? undefined : context.nodes.holderOf(sourceVolumeId)?.volumes.get(sourceVolumeId),
  });
}

/** What the claim will have: of a device whole sectors. */
function volumeBytesOf(context: ControllerContext, claim: Claim): number {
  const sizeBytes = quantityBytes(claim.spec.resources?.requests?.['storage'] ?? 0) ?? 0;
  const sectors = sectorsOf(claim, storageClassOf(context, claim));
  return sectors === undefined || sectors instanceof Fault ? sizeBytes : wholeSectors(sizeBytes, sectors);
}

async function readinessOf(
  context: ControllerContext,
  claim: Claim,
  content: ClaimContent,
  source: CloneSource | undefined,
  runs: boolean,
): Promise<Readiness> {
  const state = parseAttemptState(claim.metadata.annotations?.[annotations.attempt]);
  const done = state !== undefined && (isEnded(state) || state.stage === 'received');
  if (runs || done || claim.metadata.deletionTimestamp !== undefined) return { ready: true };
  if (source !== undefined) return source.ready ? { ready: true } : source;
  const { namespace, name } = placeOf(claim.metadata);
  if (content.kind !== 'image') return { ready: true };
  const { secrets, configMaps } = namesOf(content.source);
  for (const secret of secrets) context.waitFor(`secret ${namespace}/${secret}`, { namespace, name });
  for (const configMap of configMaps) context.waitFor(`configmap ${namespace}/${configMap}`, { namespace, name });
  const way = {
    reader: context.store,
    cdiConfig: cdiConfigOf(context),
    serviceNamespace: context.config.clusterNamespace,
  };
  const authorities = proxyAuthoritiesOf(way.cdiConfig);
  if (authorities !== undefined) {
    context.waitFor(`configmap ${way.serviceNamespace}/${authorities}`, { namespace, name });
  }
  const missing = await missingOf(content.source, { ...way, namespace });
  return missing === undefined ? { ready: true } : { ready: false, fault: missing };
}

/** Its content is complete, as its annotations say. */
export function isFilled(claim: Claim): boolean {
  return claim.metadata.annotations?.[annotations.podPhase] === 'Succeeded';
}
