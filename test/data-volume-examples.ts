// DataVolumes as clients write them, for tests of the rules about them; and what a client is told of one.
import { type DataVolumeLookups, validateDataVolume } from '../domain/admission.ts';
import { admissionMessage } from '../domain/cause.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import { readDataVolume } from '../domain/data-volume-shape.ts';

export const sha256 = `sha256:${'a'.repeat(64)}`;
export const http = { http: { url: 'http://www.example.com/disk.img' } };
export const pvc = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '500Mi' } } };
export const vddk = { url: 'https://esx/', secretRef: 's', uuid: 'u', backingFile: 'b', thumbprint: 't' };

export function dataVolumeOf(
  spec: unknown,
  wishes: Record<string, string> = {},
  name = 'test-dv',
): Record<string, unknown> {
  const metadata = { name, namespace: 'default', annotations: wishes };
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec };
}

export function readDataVolumeOf(value: Record<string, unknown>): DataVolume {
  const result = readDataVolume(value);
  if ('causes' in result) throw new Error(JSON.stringify(result.causes));
  return result.dataVolume;
}

/** What a client is told, whether the shape or a rule refuses. */
export function refusalOf(
  value: Record<string, unknown>,
  lookups: DataVolumeLookups = { operation: 'create' },
): string {
  const result = readDataVolume(value);
  if ('causes' in result) return result.causes.map(({ field, message }) => `${field}: ${message}`).join(', ');
  return admissionMessage(validateDataVolume(result.dataVolume, lookups));
}
