// Where the bytes of a token's claim go: reads the claim, waits until it is ready, finds its worker. Conditions, their order and their
// sentences are those of CDI's proxy.
import { setTimeout as delay } from 'node:timers/promises';
import { annotations } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { TokenClaims } from '../domain/upload-token.ts';
import { type VolumeId, volumeIdOf } from '../domain/volume-record.ts';

export interface UploadTarget {
  volumeId: VolumeId;
  node: string;
  /** host:port of the upload server of the node's worker. */
  workerAddress: string;
  /** Of the private directory that the worker reaches, where it tells one. */
  directoryIdentity?: string | undefined;
  contentType: 'kubevirt' | 'archive';
}

/** Where workers are found; jobs/worker-registry.ts. */
export interface WorkerFinder {
  lookup(node: string): Promise<{ uploadAddress: string; directoryIdentity?: string } | undefined>;
}

export interface TargetSearch {
  reader: ObjectReader;
  registry: WorkerFinder;
  waitMs: number;
  signal: AbortSignal;
}

const pollMs = 250;
/** What Go's strconv.ParseBool takes for true. */
const trueWords = ['1', 't', 'T', 'true', 'TRUE', 'True'];

/** The claim that a token opens. @throws Fault MalformedRequest, TokenInvalid */
export function claimOfToken(token: TokenClaims): { namespace: string; name: string; uid: string } {
  if (token.operation !== 'Upload' || token.resource.resource !== 'persistentvolumeclaims') {
    throw new Fault('MalformedRequest', 'the token is not for an upload into a claim');
  }
  const uid = token.params?.['uid'];
  if (uid === undefined) throw new Fault('TokenInvalid', 'the token does not name the uid of its claim');
  return { namespace: token.namespace, name: token.name, uid };
}

/**
 * Asks at once and then again until the claim is ready and its worker known.
 * @throws Fault NotFound, TokenForeign, NotAnUploadTarget, UploadFinished, UploadNotReady, InvalidRequest, UploadUnreachable, ServiceUnreachable
 */
export async function findTarget(
  wanted: { namespace: string; name: string; uid: string },
  search: TargetSearch,
): Promise<UploadTarget> {
  const deadline = performance.now() + search.waitMs;
  for (;;) {
    const found = await lookOnce(wanted, search);
    if (!(found instanceof Fault)) return found;
    if (performance.now() + pollMs > deadline) throw found;
    await delay(pollMs, undefined, { signal: search.signal });
  }
}

/** @returns the target, or the fault to tell if it stays so until the wait is over; throws what waiting does not change */
async function lookOnce(
  wanted: { namespace: string; name: string; uid: string },
  search: TargetSearch,
): Promise<UploadTarget | Fault> {
  try {
    const claim = await readClaim(wanted, search.reader);
    const content = await readContentClaim(claim, search.reader);
    return content === undefined ? notReady() : await targetOf(content, search.registry);
  } catch (error) {
    // The API or Redis may be starting again.
    if (error instanceof Fault && (error.code === 'ServiceUnreachable' || error.code === 'RedisUnavailable'))
      return error;
    throw error;
  }
}

async function readClaim(
  wanted: { namespace: string; name: string; uid: string },
  reader: ObjectReader,
): Promise<Claim> {
  const claim = await reader.get(resources.claims, wanted);
  if (claim === undefined) {
    throw new Fault('NotFound', `rejecting Upload Request for PVC ${wanted.name} that doesn't exist`);
  }
  if (claim.metadata.uid !== wanted.uid) {
    throw new Fault('TokenForeign', `the token is for an earlier PVC ${wanted.name}, which was deleted`);
  }
  return claim;
}

/** The claim itself, or the one that a populator fills in its place; undefined while that is not named yet. */
async function readContentClaim(claim: Claim, reader: ObjectReader): Promise<Claim | undefined> {
  if (claim.spec.dataSourceRef?.kind !== 'VolumeUploadSource') return claim;
  const name = claim.metadata.annotations?.[annotations.populatorPrime];
  if (name === undefined || name === '') return undefined;
  const prime = await reader.get(resources.claims, { ...namespaceOf(claim), name });
  if (prime === undefined) {
    throw new Fault('NotFound', `rejecting Upload Request for PVC ${claim.metadata.name}, PVC' wasn't created yet`);
  }
  return prime;
}

function namespaceOf(claim: Claim): { namespace?: string } {
  return claim.metadata.namespace === undefined ? {} : { namespace: claim.metadata.namespace };
}

async function targetOf(claim: Claim, registry: WorkerFinder): Promise<UploadTarget | Fault> {
  const { name, annotations: noted = {} } = claim.metadata;
  if (noted[annotations.uploadTarget] === undefined) {
    throw new Fault('NotAnUploadTarget', `PVC ${name} is not an upload target`);
  }
  if (noted[annotations.podPhase] === 'Succeeded') {
    throw new Fault('UploadFinished', `rejecting Upload Request for PVC ${name} that already finished uploading`);
  }
  const node = noted[annotations.selectedNode];
  if (!trueWords.includes(noted[annotations.podReady] ?? '') || node === undefined) return notReady();
  const contentType = contentTypeOf(name, noted[annotations.contentType] ?? '');
  const worker = await registry.lookup(node);
  if (worker === undefined) return new Fault('UploadUnreachable', `no worker of node ${node} has reported`);
  const { uploadAddress: workerAddress, directoryIdentity } = worker;
  return { volumeId: volumeIdOf(claim.metadata.uid ?? ''), node, workerAddress, directoryIdentity, contentType };
}

function contentTypeOf(name: string, contentType: string): 'kubevirt' | 'archive' {
  if (contentType === '' || contentType === 'kubevirt') return 'kubevirt';
  if (contentType === 'archive') return 'archive';
  throw new Fault(
    'InvalidRequest',
    `rejecting upload request for PVC ${name} - upload content-type ${contentType} is invalid`,
  );
}

function notReady(): Fault {
  return new Fault('UploadNotReady', 'context deadline exceeded');
}
