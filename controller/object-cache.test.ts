// The cache over a real store: what it holds follows the watch, and an answer that is late never brings back what is gone.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import type { ConfigMap } from '../domain/kube-shapes.ts';
import { resources } from '../domain/resources.ts';
import { loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { ObjectCache } from './object-cache.ts';

const key = { namespace: 'default', name: 'one' };
const logger = createLogger({ ...loadConfig({}), logLevel: 'silent' }, 'test');

let directory: string;
let store: SqliteStore;
let cache: ObjectCache<ConfigMap>;
let ending: AbortController;
let following: Promise<void>;
let changes: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-cache-'));
  store = await SqliteStore.open(directory);
  changes = [];
  cache = new ObjectCache<ConfigMap>({
    ...{ store, resource: resources.configMaps, logger, retryMs: 5 },
    onChange: (after, before) => changes.push(`${before?.data?.['v'] ?? '-'} to ${after?.data?.['v'] ?? '-'}`),
  });
  ending = new AbortController();
  following = cache.follow(ending.signal);
  await cache.synced;
});
afterEach(async () => {
  ending.abort();
  await following;
  await store.close();
  await rm(directory, { recursive: true });
});

function made(v: string, finalizers: string[] = []): Promise<ConfigMap> {
  const metadata = { ...key, finalizers };
  return store.create(resources.configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { v } });
}

test('it tells each change once, with what was before', async () => {
  const first = await made('1');
  cache.put(first);
  cache.put(await store.update(resources.configMaps, { ...first, data: { v: '2' } }));
  await store.delete(resources.configMaps, key);
  await vi.waitFor(() => expect(cache.get(key)).toBeUndefined());
  expect(changes).toEqual(['- to 1', '1 to 2', '2 to -']);
});

test('an older answer does not take the place of a newer state', async () => {
  const first = await made('1');
  cache.put(await store.update(resources.configMaps, { ...first, data: { v: '2' } }));
  cache.put(first);
  expect(cache.get(key)?.data).toEqual({ v: '2' });
});

test('the answer to a write that comes after the object went does not bring it back', async () => {
  const first = await made('1');
  await vi.waitFor(() => expect(cache.get(key)).toBeDefined());
  await store.delete(resources.configMaps, key);
  await vi.waitFor(() => expect(cache.get(key)).toBeUndefined());
  cache.put(first);
  expect(cache.get(key)).toBeUndefined();
  cache.put(await made('2'));
  expect(cache.get(key)?.data).toEqual({ v: '2' });
});

test('the answer to the write that lets an object go takes it out, whether it comes before the watch or after', async () => {
  const first = await made('1', ['longshore.dev/volume']);
  cache.put(first);
  const leaving = await store.delete(resources.configMaps, key);
  const last = await store.update(resources.configMaps, {
    ...leaving,
    metadata: { ...leaving.metadata, finalizers: [] },
  });
  cache.put(last);
  expect(cache.get(key)).toBeUndefined();
  const next = await made('2');
  await vi.waitFor(() => expect(cache.get(key)?.metadata.uid).toBe(next.metadata.uid));
  cache.put(last);
  expect(cache.get(key)?.data).toEqual({ v: '2' });
});

test('what vanished while nobody watched is told as gone', async () => {
  await made('1');
  await vi.waitFor(() => expect(cache.get(key)).toBeDefined());
  ending.abort();
  await following;
  await store.delete(resources.configMaps, key);
  ending = new AbortController();
  following = cache.follow(ending.signal);
  await vi.waitFor(() => expect(cache.get(key)).toBeUndefined());
  expect(changes.at(-1)).toBe('1 to -');
});
