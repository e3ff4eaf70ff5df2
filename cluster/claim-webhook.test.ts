// Labelled claims as kube-apiserver sends them, completed from a real store.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { provisionerName } from '../domain/annotations.ts';
import type { Claim, ClaimSpec, StorageClass } from '../domain/kube-shapes.ts';
import { byChannel } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { completeAsked } from './claim-webhook.ts';

let store: SqliteStore;
let clean: AsyncDisposableStack;

beforeEach(async () => {
  clean = new AsyncDisposableStack();
  store = await SqliteStore.open(await temporaryDirectory(clean, 'claims'));
  clean.defer(() => store.close());
  const storageClass: StorageClass = {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner: provisionerName },
    metadata: { name: 'own' },
  };
  await store.create(resources.storageClasses, storageClass);
  await store.create(resources.claims, claimOf('image', { resources: { requests: { storage: '5Gi' } } }));
  await store.create(resources.volumeCloneSources, {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'VolumeCloneSource' },
    metadata: { namespace: 'vms', name: 'golden' },
    spec: { source: { kind: 'PersistentVolumeClaim', name: 'image' } },
  });
});
afterEach(() => clean.disposeAsync());

function claimOf(name: string, spec: ClaimSpec): Claim {
  return {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
    metadata: { namespace: 'vms', name, labels: { 'cdi.kubevirt.io/applyStorageProfile': 'true' } },
    spec: { storageClassName: 'own', volumeMode: 'Filesystem', ...spec },
  };
}

async function patchOf(spec: ClaimSpec, label = 'true'): Promise<unknown> {
  const claim = claimOf('disk', spec);
  claim.metadata.labels = { 'cdi.kubevirt.io/applyStorageProfile': label };
  const asked = { isCreate: true, object: { ...claim }, former: undefined, user: { username: 'jane' } };
  const { allowed, patch, status } = await completeAsked(asked, store, byChannel);
  return allowed ? patch : status?.message;
}

const clone = { dataSourceRef: { apiGroup: 'cdi.kubevirt.io', kind: 'VolumeCloneSource', name: 'golden' } };
const modes = { op: 'add', path: '/spec/accessModes', value: ['ReadWriteOnce'] };

test('a claim that leaves its size to a VolumeCloneSource gets the one of the claim that this names', async () => {
  const size = { op: 'add', path: '/spec/resources', value: { requests: { storage: '5Gi' } } };
  expect(await patchOf(clone)).toEqual([modes, size]);
});

test('one that says its size keeps it, and one whose source is not there gets none', async () => {
  expect(await patchOf({ ...clone, resources: { requests: { storage: '7Gi' } } })).toEqual([modes]);
  const missing = { dataSourceRef: { ...clone.dataSourceRef, name: 'other' } };
  expect(await patchOf(missing)).toEqual([modes]);
});

test('one without a source must say its size, and one that does not ask is left alone', async () => {
  expect(await patchOf({})).toBe('PVC Spec is not valid - missing storage size');
  expect(await patchOf(clone, 'false')).toBeUndefined();
});
