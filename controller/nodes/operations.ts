// What the API may ask of the controller beside objects: digests of a volume as it is now, and what is wrong.
import type { DataVolumeSource } from '../../domain/data-volume.ts';
import { Fault, type FaultRecord, faultFromRecord, faultRecord, toFault } from '../../domain/fault.ts';
import { resources } from '../../domain/resources.ts';
import type { PoolUsage, SourceFacts } from '../../jobs/channel-protocol.ts';
import { type ControllerContext, cdiConfigOf, channelOf, nodeOfClaim, volumeOfClaim } from '../controller-context.ts';
import { sourceContent, whyUnsupported } from '../inputs/source-content.ts';
import { sourceInputs } from '../inputs/source-inputs.ts';
import type { LostStore } from './lost-store.ts';
import type { NodeConnections } from './node-connections.ts';
import type { HeldVolume } from './node-views.ts';
import { describeOrphan } from './orphans.ts';

/** One thing to look at. */
export interface DoctorFinding {
  node: string;
  pool: string;
  kind: string;
  path: string;
  bytes: number;
  ageSeconds: number;
  detail: string;
}

export interface DoctorPool {
  name: string;
  directory: string;
  usage?: PoolUsage;
  fault?: FaultRecord;
}

export interface DoctorNode {
  node: string;
  connected: boolean;
  pools: DoctorPool[];
  /** Why it, or one of its pools, could not be looked at. */
  fault?: FaultRecord;
}

export interface DoctorReport {
  nodes: DoctorNode[];
  findings: DoctorFinding[];
}

export interface DigestReport {
  contentDigest: string;
  sha256?: string;
  path: string;
  node: string;
}

export interface ControllerOperations {
  /** Reads the volume now; an abort ends the reading in the worker. @throws Fault NotFound, SourceNotReady, NodeLost, the signal's reason */
  digest(namespace: string, name: string, sha256: boolean, signal: AbortSignal): Promise<DigestReport>;
  doctor(): Promise<DoctorReport>;
  /** Removes what the doctor found there. @throws Fault NotFound, VolumeInUse, NodeLost */
  removeFinding(finding: Pick<DoctorFinding, 'node' | 'pool' | 'path'>): Promise<void>;
  /** How large a volume may be in the pools of that name, or in any; undefined where one that may be meant has not told, or there is none. */
  largestVolumeBytes(pool: string | undefined): number | undefined;
  /** Makes the claim anew of a volume whose claim is not in the store. @throws Fault NotFound, AlreadyExists, VolumeNotFilled, VolumeCorrupt */
  restoreFinding(finding: Pick<DoctorFinding, 'node' | 'pool' | 'path'>): Promise<void>;
  /**
   * Lets a worker look at the first bytes of what a source serves, until an abort.
   * @param namespace where the secrets and config maps lie that the source names
   * @throws Fault UnsupportedSource, SecretMissing, NodeLost, the signal's reason, and those of an import
   */
  probe(source: DataVolumeSource, namespace: string, signal: AbortSignal): Promise<SourceFacts>;
}

const digestTimeoutMs = 24 * 3_600_000;
const probeTimeoutMs = 300_000;

export function controllerOperations(
  context: ControllerContext,
  connections: NodeConnections,
  lost: LostStore,
): ControllerOperations {
  return {
    digest: (namespace, name, sha256, signal) => digest(context, { namespace, name }, { sha256, signal }),
    doctor: () => doctor(context, connections),
    removeFinding: (finding) => removeFinding(context, connections, finding),
    restoreFinding: (finding) => restoreFinding(connections, lost, finding),
    largestVolumeBytes: (pool) => largestVolumeBytes(context, pool),
    probe: (source, namespace, signal) => probe(context, source, namespace, signal),
  };
}

async function digest(
  context: ControllerContext,
  key: { namespace: string; name: string },
  { sha256, signal }: { sha256: boolean; signal: AbortSignal },
): Promise<DigestReport> {
  const claim = context.caches.claims.get(key) ?? (await context.store.get(resources.claims, key));
  if (claim === undefined) throw new Fault('NotFound', `persistentvolumeclaim ${key.namespace}/${key.name}`);
  const volumeId = volumeOfClaim(claim);
  const node = volumeId === undefined ? undefined : nodeOfClaim(context, claim, volumeId);
  if (volumeId === undefined || node === undefined) {
    throw new Fault('SourceNotReady', `${key.namespace}/${key.name} has no volume yet`);
  }
  const channel = channelOf(context, node);
  const answer = await channel.call('volume.digest', { volumeId, sha256 }, { timeoutMs: digestTimeoutMs, signal });
  return { ...answer, node };
}

async function probe(
  context: ControllerContext,
  asked: DataVolumeSource,
  namespace: string,
  signal: AbortSignal,
): Promise<SourceFacts> {
  const content = sourceContent(asked);
  if (content === undefined) throw new Fault('UnsupportedSource', whyUnsupported(asked));
  const node = [...context.nodes.all()].find(({ connected }) => connected);
  if (node === undefined) throw new Fault('NodeLost', 'no worker is connected');
  const [cdiConfig, serviceNamespace] = [cdiConfigOf(context), context.config.clusterNamespace];
  const place = { reader: context.store, namespace, cdiConfig, serviceNamespace, onePass: false };
  const source = await sourceInputs(content, place);
  return await channelOf(context, node.name).call('source.probe', { source }, { timeoutMs: probeTimeoutMs, signal });
}

async function doctor(context: ControllerContext, connections: NodeConnections): Promise<DoctorReport> {
  const kept = await connections.sweepOrphans({ onlyLook: true });
  const findings: DoctorFinding[] = kept.map(({ node, volume }) => ({
    node,
    pool: volume.pool,
    kind: 'volume without a claim',
    path: `volumes/${volume.volumeId}`,
    bytes: volume.report?.allocatedBytes ?? volume.sizeBytes,
    ageSeconds: Math.max(0, Math.round((Date.now() - Date.parse(volume.createdAt)) / 1_000)),
    detail: describeOrphan(volume),
  }));
  const nodes: DoctorNode[] = [];
  for (const view of context.nodes.all()) {
    const { name: node, connected } = view;
    const looked = await lookAt(context, node);
    findings.push(...looked.findings);
    const pools = view.pools.map(({ fault: _, ...told }) => ({
      ...told,
      ...faultMember(looked.faults.get(told.name)),
    }));
    nodes.push({ node, connected, pools, ...faultMember(looked.fault ?? [...looked.faults.values()][0]) });
  }
  return { nodes, findings };
}

/** A volume whose claim is not in the store goes as a whole, whatever it holds: that is what was asked. */
async function removeFinding(
  context: ControllerContext,
  connections: NodeConnections,
  { node, pool, path }: Pick<DoctorFinding, 'node' | 'pool' | 'path'>,
): Promise<void> {
  const channel = channelOf(context, node);
  const orphan = await orphanAt(connections, { node, pool, path });
  if (orphan === undefined) await channel.call('doctor.remove', { pool, path });
  else await connections.removeOrphan(node, orphan);
}

async function restoreFinding(
  connections: NodeConnections,
  lost: LostStore,
  finding: Pick<DoctorFinding, 'node' | 'pool' | 'path'>,
): Promise<void> {
  const orphan = await orphanAt(connections, finding);
  if (orphan === undefined) throw new Fault('NotFound', `no volume without a claim is at ${finding.path}`);
  await lost.restore(orphan);
}

async function orphanAt(
  connections: NodeConnections,
  { node, pool, path }: Pick<DoctorFinding, 'node' | 'pool' | 'path'>,
): Promise<HeldVolume | undefined> {
  const kept = await connections.sweepOrphans({ onlyLook: true });
  return kept.find(
    ({ node: holder, volume }) => holder === node && volume.pool === pool && path === `volumes/${volume.volumeId}`,
  )?.volume;
}

function largestVolumeBytes({ nodes }: ControllerContext, name: string | undefined): number | undefined {
  const views = [...nodes.all()];
  const pools = views.flatMap((view) => view.pools.filter((pool) => name === undefined || pool.name === name));
  if (pools.length === 0 || views.some(({ known }) => !known)) return undefined;
  const sizes = pools.flatMap(({ usage, fault }) => (usage === undefined || fault !== undefined ? [] : [usage]));
  return sizes.length < pools.length ? undefined : Math.max(...sizes.map(({ largestVolumeBytes: largest }) => largest));
}

async function lookAt(
  context: ControllerContext,
  node: string,
): Promise<{ findings: DoctorFinding[]; faults: Map<string, FaultRecord>; fault?: FaultRecord }> {
  try {
    const { findings, faults } = await channelOf(context, node).call('doctor', {});
    return {
      findings: findings.map((finding) => ({ node, ...finding })),
      faults: new Map(faults.map(({ pool, fault }) => [pool, faultRecord(faultFromRecord(fault))])),
    };
  } catch (error) {
    return { findings: [], faults: new Map(), fault: faultRecord(toFault(error)) };
  }
}

function faultMember(fault: FaultRecord | undefined): { fault?: FaultRecord } {
  return fault === undefined ? {} : { fault };
}
