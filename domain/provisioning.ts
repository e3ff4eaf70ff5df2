// Who makes, binds and deletes the volume of a claim of our classes. On one machine the controller asks the worker over the channel; on a cluster
// Kubernetes does it through our CSI driver, and the controller only chooses the node where nobody else does.
import { provisionerName } from './annotations.ts';
import type { StorageClass } from './kube-shapes.ts';

export interface Provisioning {
  readonly by: 'channel' | 'csi';
  /** Provisioner that the storage classes of ours name. */
  readonly driver: string;
}

export const byChannel: Provisioning = { by: 'channel', driver: provisionerName };

export function isOwnClass(storageClass: StorageClass | undefined, { driver }: Provisioning): boolean {
  return storageClass?.provisioner === driver;
}
