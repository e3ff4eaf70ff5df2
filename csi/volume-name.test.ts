import { expect, test } from 'vitest';
import { isVolumeId } from '../domain/volume-record.ts';
import { ownerOf, volumeIdOfName } from './volume-name.ts';

const uid = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';

test('the name that the provisioner gives is the id, so the uid of the claim finds it', () => {
  const id = volumeIdOfName(`pvc-${uid}`);
  expect(id).toBe(`pvc-${uid}`);
  const parameters = { 'csi.storage.k8s.io/pvc/name': 'disk', 'csi.storage.k8s.io/pvc/namespace': 'machines' };
  expect(ownerOf(id, `pvc-${uid}`, parameters)).toEqual({ namespace: 'machines', name: 'disk', uid });
});

test.each(['x', `PVC-${uid}`, `pvc-${uid}x`, 'pvc-..', 'ü'.repeat(64), `other-${uid}`])(
  '%s gets an id that no claim has, the same each time',
  (name) => {
    const id = volumeIdOfName(name);
    expect(isVolumeId(id)).toBe(true);
    // Version 8, where a uid of Kubernetes has 4, and the variant of RFC 9562.
    expect(id).toMatch(/^pvc-.{8}-.{4}-8.{3}-a.{3}-.{12}$/);
    expect(volumeIdOfName(name)).toBe(id);
    expect(ownerOf(id, name, {})).toEqual({ namespace: '', name, uid: id.slice(4) });
  },
);

test('different names have different ids', () => {
  const ids = new Set(Array.from({ length: 1000 }, (_, index) => volumeIdOfName(`name-${index}`)));
  expect(ids.size).toBe(1000);
});
