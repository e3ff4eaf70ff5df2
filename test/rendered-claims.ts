// DataVolumes, and what renderClaim (domain/render-claim.ts) makes of them among two storage classes: ours and one without a profile.
import { annotations, provisionerName } from '../domain/annotations.ts';
import type { DataVolume, DataVolumeSpec } from '../domain/data-volume.ts';
import type { Claim, StorageClass } from '../domain/kube-shapes.ts';
import { type ClaimContext, renderClaim } from '../domain/render-claim.ts';

export const size = (storage: string) => ({ resources: { requests: { storage } } });
export const http = { http: { url: 'https://example.com/disk.qcow2' } };

export function storageClass(name: string, provisioner: string, marks: string[] = []): StorageClass {
  const wishes = Object.fromEntries(marks.map((mark) => [mark, 'true']));
  return {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner },
    metadata: { name, annotations: wishes, creationTimestamp: '2026-01-01T00:00:00Z' },
  };
}

export const longshore = storageClass('longshore', provisionerName, [annotations.defaultStorageClass]);
export const nfs = storageClass('nfs', 'nfs.example');
export const context: ClaimContext = { storageClasses: [longshore, nfs] };

function dataVolumeOf(spec: DataVolumeSpec, metadata: Partial<DataVolume['metadata']> = {}): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name: 'disk', namespace: 'team', uid: '0b1c', ...metadata },
    spec,
  };
}

export function render(spec: DataVolumeSpec, metadata: Partial<DataVolume['metadata']> = {}, around = context): Claim {
  const result = renderClaim(dataVolumeOf(spec, metadata), around);
  if ('problem' in result) throw new Error(result.problem.message);
  return result.claim;
}

export function problemOf(spec: DataVolumeSpec, around = context): string | undefined {
  const result = renderClaim(dataVolumeOf(spec), around);
  return 'problem' in result ? `${result.problem.reason}: ${result.problem.message}` : undefined;
}
