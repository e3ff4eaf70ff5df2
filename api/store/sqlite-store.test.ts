import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { objectStoreContract } from '../../test/contract/object-store.ts';
import { SqliteStore } from './sqlite-store.ts';

objectStoreContract('the embedded store', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'longshore-store-'));
  const store = await SqliteStore.open(directory);
  return {
    store,
    namespace: 'default',
    dispose: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});

function configMap(name: string): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { value: name } };
}

describe('the file of the embedded store', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'longshore-store-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('objects, versions and finalizers are there after closing and opening', async () => {
    const first = await SqliteStore.open(directory);
    const made = await first.create(resources.configMaps, configMap('a'));
    await first.create(resources.configMaps, configMap('b'));
    await first.delete(resources.configMaps, { namespace: 'default', name: 'b' });
    const { version, sizeBytes } = first;
    await first.close();
    const second = await SqliteStore.open(directory);
    expect((await second.list(resources.configMaps)).items).toEqual([made]);
    expect(second.version).toBe(version);
    expect([sizeBytes, second.sizeBytes]).toEqual(Array(2).fill(Buffer.byteLength(JSON.stringify(made))));
    const next = await second.create(resources.configMaps, configMap('c'));
    expect(Number(next.metadata.resourceVersion)).toBeGreaterThan(Number(version));
    await second.close();
  });

  test('a watch resumes after a restart where nothing was missed, and is Gone where something may have been', async () => {
    const first = await SqliteStore.open(directory);
    const made = await first.create(resources.configMaps, configMap('a'));
    await first.create(resources.configMaps, configMap('b'));
    const { version } = first;
    await first.close();
    const second = await SqliteStore.open(directory);
    const stop = second.follow(resources.configMaps, {}, version, () => undefined);
    stop();
    const old = made.metadata.resourceVersion ?? '';
    expect(() => second.follow(resources.configMaps, {}, old, () => undefined)).toThrow(/Gone/);
    await second.close();
  });

  test('history is bounded: who was away too long is told Gone', async () => {
    const store = await SqliteStore.open(directory);
    const start = store.version;
    let object = await store.create(resources.configMaps, configMap('a'));
    await Promise.all(
      Array.from({ length: 2_100 }, (_, index) =>
        store.update(resources.configMaps, {
          ...object,
          metadata: { name: 'a', namespace: 'default' },
          data: { value: String(index) },
        }),
      ),
    );
    expect(() => store.follow(resources.configMaps, {}, start, () => undefined)).toThrow(/too old resource version/);
    object = (await store.get(resources.configMaps, { namespace: 'default', name: 'a' })) ?? object;
    expect(object.data).toEqual({ value: '2099' });
    await store.close();
  });

  test('a second opener is told that it is running already, and the first goes on', async () => {
    const store = await SqliteStore.open(directory);
    await expect(SqliteStore.open(directory)).rejects.toMatchObject({ code: 'AlreadyRunning' });
    await store.create(resources.configMaps, configMap('a'));
    await store.close();
  });

  test('a file of a newer version is refused and stays as it is', async () => {
    const store = await SqliteStore.open(directory);
    await store.create(resources.configMaps, configMap('a'));
    await store.close();
    const path = join(directory, 'store', 'objects.sqlite');
    const database = new DatabaseSync(path);
    database.exec('UPDATE schemaVersion SET version = 99');
    database.close();
    await expect(SqliteStore.open(directory)).rejects.toMatchObject({ code: 'NewerVersion' });
    const after = new DatabaseSync(path);
    expect(after.prepare('SELECT version FROM schemaVersion').get()).toEqual({ version: 99 });
    expect(after.prepare('SELECT count(*) AS n FROM objects').get()).toEqual({ n: 1 });
    after.close();
    expect(await readdir(join(directory, 'store'))).toEqual(['objects.sqlite']);
  });

  test('after close a write fails and nothing is half written', async () => {
    const store = await SqliteStore.open(directory);
    await store.close();
    await expect(store.create(resources.configMaps, configMap('a'))).rejects.toBeInstanceOf(Fault);
    const again = await SqliteStore.open(directory);
    expect((await again.list(resources.configMaps)).items).toEqual([]);
    await again.close();
  });

  test('writers at the same time share their fsyncs and are answered in order', async () => {
    const store = await SqliteStore.open(directory);
    const names = Array.from({ length: 200 }, (_, index) => `m-${index}`);
    const made = await Promise.all(names.map((name) => store.create(resources.configMaps, configMap(name))));
    const versions = made.map(({ metadata }) => Number(metadata.resourceVersion));
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect(new Set(versions).size).toBe(200);
    await store.close();
  });

  test('every write that was acknowledged is there after SIGKILL', async () => {
    for (let round = 0; round < 3; round += 1) {
      const acknowledged = await killedWriter(directory, round);
      const store = await SqliteStore.open(directory);
      const kept = new Set(store.entries(resources.configMaps).map(({ name }) => name));
      expect(acknowledged.filter((name) => !kept.has(name))).toEqual([]);
      expect(acknowledged.length).toBeGreaterThan(20);
      await store.close();
    }
  });
});

/** Starts a process that writes and tells each durable write, and kills it in the middle. @returns the names it told */
async function killedWriter(directory: string, round: number): Promise<string[]> {
  const code = `
    import { SqliteStore } from ${JSON.stringify(new URL('./sqlite-store.ts', import.meta.url).href)};
    const resource = ${JSON.stringify(resources.configMaps)};
    const store = await SqliteStore.open(${JSON.stringify(directory)});
    for (let n = 0; ; n += 4) {
      const names = [0, 1, 2, 3].map((k) => 'r${round}-' + (n + k));
      await Promise.all(names.map(async (name) => {
        await store.create(resource, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } });
        process.stdout.write(name + '\\n');
      }));
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const told: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    told.push(line);
    if (told.length === 40 + round * 17) child.kill('SIGKILL');
  }
  return told;
}
