// What every ObjectStore promises, as a suite that each implementation runs: the embedded file and, on a cluster, kube-apiserver.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import type { ObjectMeta, ObjectStore, WatchEvent } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';

export interface StoreUnderTest {
  store: ObjectStore;
  /** A namespace that exists and is empty. */
  namespace: string;
  dispose(): Promise<void>;
}

async function expectFault(code: FaultCode, doing: Promise<unknown>): Promise<void> {
  const error: unknown = await doing.then(
    () => 'nothing failed',
    (reason: unknown) => reason,
  );
  expect(error instanceof Fault ? error.code : error).toBe(code);
}

async function take<T>(events: AsyncIterator<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < count) {
    const next = await events.next();
    if (next.done === true) throw new Error(`the watch ended after ${taken.length} of ${count} events`);
    taken.push(next.value);
  }
  return taken;
}

function told(event: WatchEvent<ConfigMap>): string {
  return event.type === 'BOOKMARK' ? 'BOOKMARK' : `${event.type} ${event.object.metadata.name}`;
}

/** Runs the suite. @param open a fresh store for each test */
export function objectStoreContract(implementation: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${implementation} as an object store`, () => {
    let subject: StoreUnderTest;
    let ending: AbortController;

    beforeEach(async () => {
      subject = await open();
      ending = new AbortController();
    });
    afterEach(async () => {
      ending.abort();
      await subject.dispose();
    });

    const configMap = (name: string, metadata: Partial<ObjectMeta> = {}): ConfigMap => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: subject.namespace, ...metadata },
      data: { colour: 'red' },
    });
    const dataVolume = (name: string): DataVolume => ({
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'DataVolume',
      metadata: { name, namespace: subject.namespace },
      spec: { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } },
    });
    const key = (name: string) => ({ namespace: subject.namespace, name });
    const watch = (resourceVersion?: string, labelSelector?: string) => {
      const { namespace, store } = subject;
      return store
        .watch(resources.configMaps, {
          namespace,
          signal: ending.signal,
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
          ...(labelSelector === undefined ? {} : { labelSelector }),
        })
        [Symbol.asyncIterator]();
    };

    test('a created object has uid, version, generation and time, and is read back as it was returned', async () => {
      const made = await subject.store.create(resources.configMaps, configMap('a'));
      expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(Number(made.metadata.resourceVersion)).toBeGreaterThan(0);
      expect(await subject.store.get(resources.configMaps, key('a'))).toEqual(made);
    });

    test('an object that is not there is undefined to a reader and NotFound to a writer', async () => {
      expect(await subject.store.get(resources.configMaps, key('a'))).toBeUndefined();
      await expectFault('NotFound', subject.store.update(resources.configMaps, configMap('a')));
      await expectFault('NotFound', subject.store.delete(resources.configMaps, key('a')));
    });

    test('a name is taken once', async () => {
      await subject.store.create(resources.configMaps, configMap('a'));
      await expectFault('AlreadyExists', subject.store.create(resources.configMaps, configMap('a')));
      expect((await subject.store.list(resources.configMaps, { namespace: subject.namespace })).items).toHaveLength(1);
    });

    test('generateName gives each object a name of its own', async () => {
      const [one, two] = await Promise.all(
        [1, 2].map(() => subject.store.create(resources.configMaps, configMap('', { generateName: 'token-' }))),
      );
      expect(one?.metadata.name).toMatch(/^token-.{5}$/);
      expect(one?.metadata.name).not.toBe(two?.metadata.name);
    });

    test('of two writers with the same version one gets Conflict, and the first change stays', async () => {
      const made = await subject.store.create(resources.configMaps, configMap('a'));
      const blue = { ...made, data: { colour: 'blue' } };
      const green = { ...made, data: { colour: 'green' } };
      const updated = await subject.store.update(resources.configMaps, blue);
      await expectFault('Conflict', subject.store.update(resources.configMaps, green));
      expect(await subject.store.get(resources.configMaps, key('a'))).toEqual(updated);
      expect(Number(updated.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion));
    });

    test('a write without a version needs none; one that changes nothing makes no new version', async () => {
      const made = await subject.store.create(resources.configMaps, configMap('a'));
      const { resourceVersion: _version, ...metadata } = made.metadata;
      const same = await subject.store.update<ConfigMap>(resources.configMaps, { ...made, metadata });
      expect(same.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
      const blue = await subject.store.update(resources.configMaps, { ...made, metadata, data: { colour: 'blue' } });
      expect(blue.data).toEqual({ colour: 'blue' });
      expect(blue.metadata.uid).toBe(made.metadata.uid);
    });

    test('spec and status are written apart, and only the spec moves the generation', async () => {
      const made = await subject.store.create(resources.dataVolumes, {
        ...dataVolume('a'),
        status: { phase: 'Pending' },
      });
      expect(made.status).toBeUndefined();
      const first = made.metadata.generation ?? 0;
      const running = await subject.store.updateStatus(resources.dataVolumes, {
        ...made,
        status: { phase: 'Succeeded' },
      });
      expect([running.status, running.metadata.generation]).toEqual([{ phase: 'Succeeded' }, first]);
      const spec = { ...running.spec, preallocation: true };
      const changed = await subject.store.update(resources.dataVolumes, {
        ...running,
        spec,
        status: { phase: 'Failed' },
      });
      expect([changed.status, changed.metadata.generation]).toEqual([{ phase: 'Succeeded' }, first + 1]);
      expect(changed.spec.preallocation).toBe(true);
      const later = await subject.store.updateStatus(resources.dataVolumes, {
        ...changed,
        spec: { ...spec, preallocation: false },
        status: { phase: 'Failed' },
      });
      expect([later.spec.preallocation, later.status]).toEqual([true, { phase: 'Failed' }]);
    });

    test('a finalizer holds a deleted object until it is taken away', async () => {
      await subject.store.create(resources.configMaps, configMap('a', { finalizers: ['example.com/hold'] }));
      const deleting = await subject.store.delete(resources.configMaps, key('a'));
      if (deleting === undefined) throw new Error('the object is held and was not told');
      expect(deleting.metadata.deletionTimestamp).toBeDefined();
      const again = await subject.store.delete(resources.configMaps, key('a'));
      if (again === undefined) throw new Error('the object is held and was not told');
      expect(again.metadata.deletionTimestamp).toBe(deleting.metadata.deletionTimestamp);
      await subject.store.update(resources.configMaps, { ...again, metadata: { ...again.metadata, finalizers: [] } });
      expect(await subject.store.get(resources.configMaps, key('a'))).toBeUndefined();
    });

    test('a delete for another uid or version is a Conflict and deletes nothing', async () => {
      const made = await subject.store.create(resources.configMaps, configMap('a'));
      const other = '00000000-0000-4000-8000-000000000000';
      await expectFault('Conflict', subject.store.delete(resources.configMaps, key('a'), { uid: other }));
      await expectFault('Conflict', subject.store.delete(resources.configMaps, key('a'), { resourceVersion: '1' }));
      const uid = made.metadata.uid ?? '';
      await subject.store.delete(resources.configMaps, key('a'), { uid });
      expect(await subject.store.get(resources.configMaps, key('a'))).toBeUndefined();
    });

    test('lists are ordered by name and narrowed by labels and fields', async () => {
      await subject.store.create(resources.configMaps, configMap('c', { labels: { tier: 'web', old: '' } }));
      await subject.store.create(resources.configMaps, configMap('a', { labels: { tier: 'web' } }));
      await subject.store.create(resources.configMaps, configMap('b', { labels: { tier: 'data' } }));
      const names = async (options: { labelSelector?: string; fieldSelector?: string }): Promise<string[]> => {
        const { items } = await subject.store.list(resources.configMaps, { namespace: subject.namespace, ...options });
        return items.map(({ metadata }) => metadata.name);
      };
      expect(await names({})).toEqual(['a', 'b', 'c']);
      expect(await names({ labelSelector: 'tier=web,!old' })).toEqual(['a']);
      expect(await names({ labelSelector: 'tier in (data, cache)' })).toEqual(['b']);
      expect(await names({ labelSelector: 'tier!=web' })).toEqual(['b']);
      expect(await names({ labelSelector: 'tier notin (web),tier' })).toEqual(['b']);
      expect(await names({ fieldSelector: 'metadata.name=c' })).toEqual(['c']);
    });

    test('a watch from nothing tells what exists, then a bookmark, then what changes', async () => {
      await subject.store.create(resources.configMaps, configMap('a'));
      const events = watch();
      expect((await take(events, 2)).map(told)).toEqual(['ADDED a', 'BOOKMARK']);
      const made = await subject.store.create(resources.configMaps, configMap('b'));
      await subject.store.update(resources.configMaps, { ...made, data: {} });
      await subject.store.delete(resources.configMaps, key('b'));
      expect((await take(events, 3)).map(told)).toEqual(['ADDED b', 'MODIFIED b', 'DELETED b']);
    });

    test('a watch from a list misses nothing and repeats nothing', async () => {
      await subject.store.create(resources.configMaps, configMap('a'));
      const { resourceVersion } = await subject.store.list(resources.configMaps, { namespace: subject.namespace });
      await subject.store.create(resources.configMaps, configMap('b'));
      const events = watch(resourceVersion);
      await subject.store.create(resources.configMaps, configMap('c'));
      expect((await take(events, 2)).map(told)).toEqual(['ADDED b', 'ADDED c']);
    });

    test('to a watch with a selector an object comes and goes as its labels do', async () => {
      const events = watch(undefined, 'tier=web');
      await take(events, 1);
      const made = await subject.store.create(resources.configMaps, configMap('a', { labels: { tier: 'data' } }));
      const web = await subject.store.update(resources.configMaps, {
        ...made,
        metadata: { ...made.metadata, labels: { tier: 'web' } },
      });
      await subject.store.update(resources.configMaps, { ...web, metadata: { ...web.metadata, labels: {} } });
      expect((await take(events, 2)).map(told)).toEqual(['ADDED a', 'DELETED a']);
    });

    test('a watch ends when its signal aborts', async () => {
      const events = watch();
      await take(events, 1);
      const pending = events.next();
      ending.abort();
      expect((await pending).done).toBe(true);
    });

    test('a watch from a version that was never given is Gone', async () => {
      const events = watch('999999999');
      await expectFault('Gone', events.next());
    });
  });
}
