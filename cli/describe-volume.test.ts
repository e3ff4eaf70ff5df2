import { expect, test } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import { describeVolume } from './describe-volume.ts';
import { makeVolume } from './make-volume.ts';

const name = { namespace: 'ns', name: 'disk' };
const path = '/pool/volumes/pvc-1/data/disk.img';

test.each([
  ['Succeeded', true],
  ['Failed', false],
  ['ImportInProgress', false],
])('a volume in phase %s has a path: %s', (phase, told) => {
  const volume = { ...makeVolume(name, { blank: {} }, { size: '1Gi' }), status: { phase } };
  const metadata = { ...name, annotations: { [annotations.path]: path } };
  const claim: Claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: {} };
  expect(describeVolume(volume, claim, [], new Date()).includes(path)).toBe(told);
});
