// Leadership over a real store: one leads, another takes over when it ends, is lost or falls silent.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { Fault } from '../domain/fault.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { clusterResources } from './cluster-resources.ts';
import { acquireLease, type LeaseOptions } from './leader-lease.ts';
import { leadersStore } from './leaders-store.ts';

let directory: string;
let store: SqliteStore;
const logger = createLogger(loadConfig({ LONGSHORE_LOG_LEVEL: 'silent' }), 'test');
const ending = () => new AbortController();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-lease-'));
  store = await SqliteStore.open(directory);
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

function options(identity: string, more: Partial<LeaseOptions> = {}): LeaseOptions {
  const times = { durationMs: 300, lostAfterMs: 200, everyMs: 20 };
  return { store, namespace: 'longshore', name: 'controller', identity, logger, ...times, ...more };
}

const held = async () =>
  (await store.get(clusterResources.leases, { namespace: 'longshore', name: 'controller' }))?.spec;

/** The store, with writes that never come back from some moment on. */
function silenced(): { store: ObjectStore; silence(): void } {
  let isSilent = false;
  const never = new Promise<never>(() => undefined);
  const silent: ObjectStore = {
    get: (resource, key) => store.get(resource, key),
    list: (resource, asked) => store.list(resource, asked),
    watch: (resource, asked) => store.watch(resource, asked),
    create: (resource, object) => store.create(resource, object),
    update: (resource, object) => (isSilent ? never : store.update(resource, object)),
    updateStatus: (resource, object) => store.updateStatus(resource, object),
    delete: (resource, key, preconditions) => store.delete(resource, key, preconditions),
  };
  return {
    store: silent,
    silence: () => {
      isSilent = true;
    },
  };
}

test('of two that ask at once one leads, and the other when the first gives it up', async () => {
  const firsts = [acquireLease(options('a'), ending().signal), acquireLease(options('b'), ending().signal)];
  const leader = await Promise.race(firsts);
  const holder = (await held())?.holderIdentity;
  await new Promise((resolve) => setTimeout(resolve, 400)); // longer than the lease lasts unrenewed
  expect((await held())?.holderIdentity).toBe(holder);
  await leader.release();
  const both = await Promise.all(firsts);
  expect((await held())?.holderIdentity).toBe(holder === 'a' ? 'b' : 'a');
  expect((await held())?.leaseTransitions).toBe(1);
  await Promise.all(both.map((one) => one.release()));
});

test('one that cannot renew knows that it is lost before another leads', async () => {
  const api = silenced();
  const first = await acquireLease(options('a', { store: api.store }), ending().signal);
  api.silence();
  const lost = new Promise<string>((resolve) => first.signal.addEventListener('abort', () => resolve('lost')));
  const second = acquireLease(options('b'), ending().signal);
  expect(await Promise.race([lost, second.then(() => 'second leads')])).toBe('lost');
  expect(first.signal.reason).toMatchObject({ code: 'ServiceUnreachable' });
  await (await second).release();
});

test('one that was stopped for longer than its lease lasts writes nothing when it goes on, though it has heard nothing yet', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  const guarded = leadersStore(store, first);
  const note = (name: string) => ({
    ...({ apiVersion: 'v1', kind: 'ConfigMap' } as const),
    metadata: { namespace: 'longshore', name },
  });
  await guarded.create(resources.configMaps, note('before'));
  const goesOn = performance.now() + 250;
  while (performance.now() < goesOn); // nothing of this process runs meanwhile, as when it is stopped
  await expect(guarded.create(resources.configMaps, note('after'))).rejects.toMatchObject({
    code: 'ServiceUnreachable',
  });
  const { items } = await store.list(resources.configMaps);
  expect(items.map(({ metadata }) => metadata.name)).toEqual(['before']);
  await new Promise((resolve) => first.signal.addEventListener('abort', resolve));
  expect(first.signal.reason).toMatchObject({ code: 'ServiceUnreachable' });
});

test('one whose lease was taken over ends at once and gives up nothing of the other', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  const lease = await store.get(clusterResources.leases, { namespace: 'longshore', name: 'controller' });
  if (lease === undefined) throw new Error('no lease');
  const { resourceVersion: _, ...metadata } = lease.metadata;
  await store.update(clusterResources.leases, { ...lease, metadata, spec: { ...lease.spec, holderIdentity: 'b' } });
  await new Promise((resolve) => first.signal.addEventListener('abort', resolve));
  expect(first.signal.reason).toMatchObject({ code: 'Conflict' });
  await first.release();
  expect((await held())?.holderIdentity).toBe('b');
});

test('who waits hears whether another leads', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  const heard: boolean[] = [];
  const second = acquireLease(options('b', { onLed: (isLed) => heard.push(isLed) }), ending().signal);
  await vi.waitFor(() => expect(heard).toContain(true));
  await first.release();
  await (await second).release();
  expect(heard.at(-1)).toBe(false);
  const alone = await acquireLease(options('c', { onLed: (isLed) => heard.push(isLed) }), ending().signal);
  expect(heard.slice(heard.indexOf(false) + 1)).not.toContain(true);
  await alone.release();
});

test('who waits ends when it is told to', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  const stop = ending();
  const second = acquireLease(options('b'), stop.signal);
  stop.abort(new Fault('Interrupted', 'stopping'));
  await expect(second).rejects.toMatchObject({ code: 'Interrupted' });
  await first.release();
});
