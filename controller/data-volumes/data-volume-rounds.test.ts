// Rounds for DataVolumes over a real store that refuses claims as a quota of a cluster does.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { ObjectStore } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { ControllerParts } from '../../test/controller-parts.ts';
import { DataVolumeRounds } from './data-volume-rounds.ts';

const place = { namespace: 'ns', name: 'over' };
let parts: ControllerParts;
let rounds: DataVolumeRounds;
let isOver: boolean;
let asked: number;

beforeEach(async () => {
  [isOver, asked] = [true, 0];
  parts = await ControllerParts.open();
  const { store } = parts;
  const limited: ObjectStore = {
    get: (resource, key) => store.get(resource, key),
    list: (resource, options) => store.list(resource, options),
    watch: (resource, options) => store.watch(resource, options),
    create: (resource, object) => {
      if (resource.plural !== 'persistentvolumeclaims') return store.create(resource, object);
      asked += 1;
      return isOver ? Promise.reject(new Fault('Quota', 'exceeded quota: claims')) : store.create(resource, object);
    },
    update: (resource, object) => store.update(resource, object),
    updateStatus: (resource, object) => store.updateStatus(resource, object),
    delete: (resource, key, preconditions) => store.delete(resource, key, preconditions),
  };
  rounds = new DataVolumeRounds({ ...parts.context, store: limited });
});
afterEach(() => parts.close());

async function create(accessMode: string): Promise<DataVolume> {
  const made = await parts.store.create(resources.dataVolumes, {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: place },
    spec: { source: { blank: {} }, pvc: { accessModes: [accessMode], resources: { requests: { storage: '1Gi' } } } },
  });
  parts.context.caches.dataVolumes.put(made);
  return made;
}

const bound = () =>
  parts.context.caches.dataVolumes.get(place)?.status?.conditions?.find(({ type }) => type === 'Bound');

test('a claim that a quota refuses is not asked for again with every round', async () => {
  await create('ReadWriteOnce');
  const againMs = await rounds.work(place);
  expect(againMs).toBeGreaterThan(1_000);
  expect(bound()?.reason).toBe('ErrExceededQuota');
  expect(await rounds.work(place)).toBeGreaterThan(1_000);
  expect(asked).toBe(1);
  expect(bound()?.reason).toBe('ErrExceededQuota');
});

test('another DataVolume of that name asks at once', async () => {
  await create('ReadWriteOnce');
  await rounds.work(place);
  await parts.store.delete(resources.dataVolumes, place);
  parts.context.caches.dataVolumes.forget(place);
  isOver = false;
  await create('ReadWriteMany');
  await rounds.work(place);
  expect(asked).toBe(2);
  expect(await parts.store.get(resources.claims, place)).toBeDefined();
});
