// Whose a volume is, from the name and the parameters that the external-provisioner sends. Pure.
//
// It names volumes `pvc-` and the uid of the claim, which is what a volume is called in a pool; so a job for a claim finds its volume by the uid, and the same
// request twice finds the same volume. Any other name (of another provisioner, of a test) gets an id that follows from the name; such an id has the version
// 8 of RFC 9562, which a uid of Kubernetes never has, so the two are never confused.
import { createHash } from 'node:crypto';
import { Fault } from '../domain/fault.ts';
import { isVolumeId, type VolumeId, type VolumeOwner, volumeIdOf } from '../domain/volume-record.ts';

/** Added to the parameters of the class by `--extra-create-metadata`. */
export const metadataParameters = {
  claimName: 'csi.storage.k8s.io/pvc/name',
  claimNamespace: 'csi.storage.k8s.io/pvc/namespace',
  volumeName: 'csi.storage.k8s.io/pv/name',
} as const;

const longestNameBytes = 128;

/** @throws Fault InvalidRequest */
export function volumeIdOfName(name: string): VolumeId {
  if (name === '') throw new Fault('InvalidRequest', 'name is missing');
  const bytes = Buffer.byteLength(name);
  if (bytes > longestNameBytes) {
    throw new Fault('InvalidRequest', `name has ${bytes} bytes; ${longestNameBytes} may be`);
  }
  if (isVolumeId(name)) return name;
  const hash = createHash('sha256').update(name).digest('hex');
  return volumeIdOf(
    [hash.slice(0, 8), hash.slice(8, 12), `8${hash.slice(13, 16)}`, `a${hash.slice(17, 20)}`, hash.slice(20, 32)].join(
      '-',
    ),
  );
}

/** The claim; where the provisioner does not tell it, the volume stands under its own name in no namespace. */
export function ownerOf(volumeId: VolumeId, name: string, parameters: Readonly<Record<string, string>>): VolumeOwner {
  return {
    namespace: parameters[metadataParameters.claimNamespace] ?? '',
    name: parameters[metadataParameters.claimName] ?? name,
    uid: volumeId.slice('pvc-'.length),
  };
}
