// Whether a claim can be cloned into a DataVolume, in CDI's words (event CloneValidationFailed). Pure; asked when the source is there.
import { annotations } from './annotations.ts';
import type { DataVolume } from './data-volume.ts';
import type { Claim } from './kube-shapes.ts';
import { quantityBytes } from './quantity.ts';
import { contentTypeOf } from './render-claim.ts';

/** @returns what does not fit, as the part of the message after "The clone doesn't meet the validation requirements: " */
export function cloneProblem(dataVolume: DataVolume, source: Claim): string | undefined {
  const sourceType = source.metadata.annotations?.[annotations.contentType] === 'archive' ? 'archive' : 'kubevirt';
  const targetType = contentTypeOf(dataVolume);
  if (sourceType !== targetType) {
    return `Source contentType (${sourceType}) and target contentType (${targetType}) do not match`;
  }
  const wish = dataVolume.spec.pvc ?? dataVolume.spec.storage;
  const target = wish?.resources?.requests?.['storage'];
  if (target === undefined) return undefined;
  const sourceBytes = quantityBytes(source.spec.resources?.requests?.['storage'] ?? 0) ?? 0;
  const targetBytes = quantityBytes(target) ?? 0;
  if (targetBytes >= sourceBytes) return undefined;
  return `target resources requests storage size is smaller than the source ${targetBytes} < ${sourceBytes}`;
}
