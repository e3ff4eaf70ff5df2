// What a worker needs for one attempt: where the bytes come from, and what the disk is to be.
import { annotations } from '../../domain/annotations.ts';
import { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { preallocateWish } from '../../domain/preallocate-wish.ts';
import type { VolumeId } from '../../domain/volume-record.ts';
import type { AttemptInputs } from '../../jobs/attempt-inputs.ts';
import type { AttemptState } from '../claims/attempt-state.ts';
import { type ClaimContent, isArchive } from '../claims/claim-content.ts';
import type { WayContext } from './import-way.ts';
import { sourceInputs } from './source-inputs.ts';

export interface InputsContext extends WayContext {
  claim: Claim;
  content: ClaimContent;
  state: AttemptState;
  sizeBytes: number;
  cloneSource: VolumeId | undefined;
}

/** @throws Fault SecretMissing, SourceNotReady, InvalidRequest (a header line without a colon) */
export async function attemptInputs(context: InputsContext): Promise<AttemptInputs> {
  const { content, state, sizeBytes, claim } = context;
  const blocks = blocksOf(claim);
  const checksum = checksumOf(claim);
  const typed = isArchive(content) ? { contentType: 'archive' as const } : {};
  const wish = { sizeBytes, ...blocks, ...(checksum === undefined ? {} : { checksum }) };
  if (state.stage === 'received') return { operation: 'convert', ...wish };
  switch (content.kind) {
    case 'image': {
      const { reader, cdiConfig, serviceNamespace } = context;
      const onePass = state.onePass === true;
      const place = { reader, cdiConfig, serviceNamespace, namespace: claim.metadata.namespace ?? '', onePass };
      return { operation: 'import', source: await sourceInputs(content.source, place), ...typed, ...wish };
    }
    case 'blank':
      return { operation: 'import', source: { kind: 'blank' }, ...wish };
    case 'clone':
      if (context.cloneSource === undefined) throw new Fault('SourceNotReady', `${content.source.name} is gone`);
      return { operation: 'clone', sourceVolumeId: context.cloneSource, ...typed, sizeBytes, ...blocks };
    default:
      throw new Fault('StaleAttempt', `attempt ${state.attempt} of ${claim.metadata.name} takes no inputs`);
  }
}

/** Wishes that stand on the claim; those of its DataVolume were copied there when it was made. */
export function blocksOf({ metadata }: Claim): { preallocation: boolean; writtenBlocks?: true } {
  const asked = metadata.annotations?.[annotations.preallocationRequested] === 'true' ? 'falloc' : 'none';
  const wish = preallocateWish(metadata) ?? asked;
  return { preallocation: wish !== 'none', ...(wish === 'full' ? { writtenBlocks: true } : {}) };
}

export function checksumOf(claim: Claim): string | undefined {
  const told = claim.metadata.annotations ?? {};
  const given = told[annotations.importChecksum] ?? told[annotations.checksum];
  return given === '' ? undefined : given?.trim().toLowerCase();
}
