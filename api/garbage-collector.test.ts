import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConfigMap } from '../domain/kube-shapes.ts';
import type { OwnerReference } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { admitNamespace } from './rest/admission-small.ts';
import { SqliteStore } from './store/sqlite-store.ts';

describe('the garbage collector', () => {
  let directory: string;
  let store: SqliteStore;
  let collector: ReturnType<typeof startGarbageCollector>;
  const logger = createLogger({ ...loadConfig({}), logLevel: 'silent' }, 'test');

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'longshore-gc-'));
    store = await SqliteStore.open(directory);
    collector = startGarbageCollector(store, logger);
  });
  afterEach(async () => {
    await collector.stop();
    await store.close();
    await rm(directory, { recursive: true });
  });

  function map(name: string, owners: OwnerReference[] = [], finalizers: string[] = []): ConfigMap {
    const metadata = { name, namespace: 'default', ownerReferences: owners, finalizers };
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
  }
  async function make(name: string, owners: ConfigMap[] = [], finalizers: string[] = []): Promise<ConfigMap> {
    return store.create(resources.configMaps, map(name, owners.map(referenceTo), finalizers));
  }
  function referenceTo({ metadata }: ConfigMap): OwnerReference {
    const { name, uid = '' } = metadata;
    return { apiVersion: 'v1', kind: 'ConfigMap', name, uid, blockOwnerDeletion: true };
  }
  const key = (name: string) => ({ namespace: 'default', name });
  const names = (): string[] => store.entries(resources.configMaps).map(({ name }) => name);

  /** Resolves when the store is as wished; a change is what makes it look. */
  function until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isSo()) return;
        forget();
        resolve();
      };
      const forget = store.onChange(look);
      look();
    });
  }

  test('deletes a whole family when its head goes', async () => {
    const head = await make('head');
    const child = await make('child', [head]);
    await make('grandchild', [child]);
    await make('stranger');
    await store.delete(resources.configMaps, key('head'));
    await until(() => names().length === 1);
    expect(names()).toEqual(['stranger']);
  });

  test('keeps whom another owner still holds, and whose owner is of a kind that is not kept here', async () => {
    const [one, two] = [await make('one'), await make('two')];
    await make('both', [one, two]);
    await make('only', [one]);
    const foreign = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'vm', uid: 'elsewhere' };
    await store.create(resources.configMaps, map('foreign', [foreign]));
    await store.delete(resources.configMaps, key('one'));
    await until(() => !names().includes('only'));
    expect(names()).toEqual(['both', 'foreign', 'two']);
  });

  test('deletes what is made for an owner that is gone already, and what was left at a restart', async () => {
    const owner = await make('owner');
    await store.delete(resources.configMaps, key('owner'));
    await make('late', [owner]);
    await until(() => names().length === 0);
    await collector.stop();
    await make('left', [owner]);
    collector = startGarbageCollector(store, logger);
    await until(() => names().length === 0);
    expect(names()).toEqual([]);
  });

  test('foreground: the owner waits for those that block it', async () => {
    const owner = await make('owner', [], ['foregroundDeletion']);
    await make('child', [owner], ['example.com/hold']);
    await store.delete(resources.configMaps, key('owner'));
    await until(() => store.entry(resources.configMaps, key('child'))?.text.includes('deletionTimestamp') === true);
    expect(names()).toEqual(['child', 'owner']);
    await store.update(resources.configMaps, map('child'));
    await until(() => names().length === 0);
    expect(names()).toEqual([]);
  });

  test('orphan: the dependents stay and forget their owner', async () => {
    const owner = await make('owner', [], ['orphan']);
    await make('child', [owner]);
    await store.delete(resources.configMaps, key('owner'));
    await until(() => !names().includes('owner'));
    const child = await store.get(resources.configMaps, key('child'));
    expect(child?.metadata.ownerReferences).toEqual([]);
  });

  test('a namespace goes when it is empty, and not before', async () => {
    const namespace = admitNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
    await store.create(resources.namespaces, {
      ...namespace,
      apiVersion: 'v1',
      kind: 'Namespace',
      status: { phase: 'Active' },
    });
    await make('held', [], ['example.com/hold']);
    await make('free');
    await store.delete(resources.namespaces, { name: 'default' });
    await until(() => names().length === 1);
    await until(() => store.entry(resources.namespaces, { name: 'default' })?.text.includes('Terminating') === true);
    await store.update(resources.configMaps, map('held'));
    await until(() => store.entries(resources.namespaces).length === 0);
    expect(names()).toEqual([]);
  });
});
