// Refuses a volume that no pool could ever hold when it is asked for, with both numbers, where all pools that it may come to have told how large one may be.
import { annotations, provisionerName } from '../../domain/annotations.ts';
import { Fault } from '../../domain/fault.ts';
import type { StorageClass } from '../../domain/kube-shapes.ts';
import type { ObjectMeta } from '../../domain/object-store.ts';
import { describeBytes } from '../../domain/quantity.ts';
import type { ApiContext } from './request-context.ts';

export interface SizeWish {
  /** Of the claim or DataVolume. */
  metadata: Pick<ObjectMeta, 'annotations'>;
  storageClass: StorageClass | undefined;
  sizeBytes: number;
}

/** @throws Fault VolumeTooLarge */
export function refuseTooLarge({ metadata, storageClass, sizeBytes }: SizeWish, { operations }: ApiContext): void {
  if (storageClass?.provisioner !== provisionerName) return;
  const pool = metadata.annotations?.[annotations.pool] ?? storageClass.parameters?.['storagePool'];
  const largestBytes = operations.largestVolumeBytes(pool);
  if (largestBytes === undefined || sizeBytes <= largestBytes) return;
  const [asked, largest] = [sizeBytes, largestBytes].map((bytes) => `${bytes} bytes (${describeBytes(bytes)})`);
  throw new Fault('VolumeTooLarge', `${asked} were asked; the largest volume has ${largest}`, {
    facts: { askedBytes: sizeBytes, largestBytes },
  });
}
