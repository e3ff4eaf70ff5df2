// Whether a clone can begin: its source is there, complete, on the same node, not larger, and its requester may read it. It waits for what may
// still come; a source that has failed stays so, and the clone fails with it. Pure.
import { annotations } from '../../domain/annotations.ts';
import { couldClone } from '../../domain/can-clone.ts';
import { cloneNeeds } from '../../domain/clone-authorization.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault, isFaultCode } from '../../domain/fault.ts';
import { faultCatalogue } from '../../domain/fault-catalogue.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { describeBytes } from '../../domain/quantity.ts';
import { type VolumeId, volumeIdOf } from '../../domain/volume-record.ts';
import type { HeldVolume } from '../nodes/node-views.ts';
import { parseAttemptState } from './attempt-state.ts';
import { ownerOf } from './claim-content.ts';

export interface CloneFacts {
  /** The claim that is to be filled, its DataVolume and its size. */
  claim: Claim;
  dataVolume: DataVolume | undefined;
  sizeBytes: number;
  source: { namespace: string; name: string };
  sourceClaim: Claim | undefined;
  sourceDataVolume: DataVolume | undefined;
  sourceVolume: HeldVolume | undefined;
}

export type CloneSource =
  | { ready: true; volumeId: VolumeId; node: string; pool: string }
  | { ready: false; fault: Fault };

function waits(detail: string): CloneSource {
  return { ready: false, fault: new Fault('SourceNotReady', detail) };
}

export function cloneSource(facts: CloneFacts): CloneSource {
  const { claim, source, sourceClaim, sourceVolume } = facts;
  const name = `${source.namespace}/${source.name}`;
  const verdict = couldClone(
    cloneNeeds('claim', source, claim.metadata.namespace ?? ''),
    facts.dataVolume?.metadata.annotations?.[annotations.requester],
  );
  if (!verdict.allowed) {
    const detail = `nobody was found entitled to clone ${name}, by the right to ${verdict.missing}`;
    return { ready: false, fault: new Fault('CloneForbidden', detail) };
  }
  if (sourceClaim?.metadata.uid === undefined || sourceClaim.metadata.deletionTimestamp !== undefined) {
    return waits(`The source pvc ${source.name} doesn't exist`);
  }
  const failure = failureOf(sourceClaim, facts.sourceDataVolume);
  if (failure !== undefined) return { ready: false, fault: new Fault('SourceFailed', `${name}: ${failure}`) };
  if (!isPopulated(sourceClaim, facts.sourceDataVolume)) return waits(`${name} is not populated yet`);
  const node = sourceClaim.metadata.annotations?.[annotations.selectedNode];
  if (node === undefined || sourceVolume === undefined) return waits(`the volume of ${name} has not been seen`);
  if (sourceVolume.state !== 'complete') return waits(`the volume of ${name} is ${sourceVolume.state}`);
  const target = claim.metadata.annotations?.[annotations.selectedNode];
  if (target !== undefined && target !== node) return waits(`${name} is on node ${node}, the clone on node ${target}`);
  if (facts.sizeBytes < sourceVolume.sizeBytes) {
    const sizes = `${describeBytes(facts.sizeBytes)} < ${describeBytes(sourceVolume.sizeBytes)}`;
    return { ready: false, fault: new Fault('ImageTooLarge', `target is smaller than the source ${name}: ${sizes}`) };
  }
  return { ready: true, volumeId: volumeIdOf(sourceClaim.metadata.uid), node, pool: sourceVolume.pool };
}

/** Why the source will never be filled, without the detail: who may clone it may not read all of its namespace. */
function failureOf(claim: Claim, dataVolume: DataVolume | undefined): string | undefined {
  const state = parseAttemptState(claim.metadata.annotations?.[annotations.attempt]);
  if (state?.stage !== 'failed' && dataVolume?.status?.phase !== 'Failed') return undefined;
  const code = state?.fault?.code ?? dataVolume?.status?.longshore?.fault?.code;
  return isFaultCode(code) ? `${code}, ${faultCatalogue[code].sentence}` : 'its DataVolume is Failed';
}

/** CDI's rule: a claim without a DataVolume counts as populated, else its DataVolume must have succeeded. */
function isPopulated(claim: Claim, dataVolume: DataVolume | undefined): boolean {
  return ownerOf(claim) === undefined || dataVolume?.status?.phase === 'Succeeded';
}
