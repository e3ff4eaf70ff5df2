// Leadership over a real store: one leads, another takes over when it ends, is lost or falls silent.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { Fault } from '../domain/fault.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import { loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { clusterResources } from './cluster-resources.ts';
import { acquireLease, type Leadership, type LeaseOptions } from './leader-lease.ts';

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
  const times = { durationMs: 1_500, lostAfterMs: 1_000, everyMs: 20 };
  return { store, namespace: 'longshore', name: 'controller', identity, logger, ...times, ...more };
}

const held = async () =>
  (await store.get(clusterResources.leases, { namespace: 'longshore', name: 'controller' }))?.spec;

/** The store, whose writes go through what is given. */
function storeWith(through: (write: () => Promise<unknown>) => Promise<unknown>): ObjectStore {
  // Safe: what the write answers is passed on.
  const passed = <T>(write: () => Promise<T>) => through(write) as Promise<T>;
  return {
    get: (resource, key) => store.get(resource, key),
    list: (resource, asked) => store.list(resource, asked),
    watch: (resource, asked) => store.watch(resource, asked),
    create: (resource, object) => passed(() => store.create(resource, object)),
    update: (resource, object) => passed(() => store.update(resource, object)),
    updateStatus: (resource, object) => store.updateStatus(resource, object),
    delete: (resource, key, preconditions) => store.delete(resource, key, preconditions),
  };
}

/** Resolves with why it was lost, also where that has happened already. */
async function lossOf({ signal }: Leadership): Promise<unknown> {
  await vi.waitFor(() => expect(signal.aborted).toBe(true), { timeout: 30_000 });
  return signal.reason;
}

/** Nothing of this process runs meanwhile, as when it is stopped. */
function stopFor(ms: number): void {
  const goesOn = performance.now() + ms;
  while (performance.now() < goesOn);
}

test('of two that ask at once one leads, and the other when the first gives it up', async () => {
  const firsts = [acquireLease(options('a'), ending().signal), acquireLease(options('b'), ending().signal)];
  const leader = await Promise.race(firsts);
  const holder = (await held())?.holderIdentity;
  // Renewed until after it would have ended without.
  const lastsMs = async () => {
    const { acquireTime = '', renewTime = '' } = (await held()) ?? {};
    return Date.parse(renewTime) - Date.parse(acquireTime);
  };
  await vi.waitFor(async () => expect(await lastsMs()).toBeGreaterThan(2_000), { timeout: 30_000 });
  expect((await held())?.holderIdentity).toBe(holder);
  await leader.release();
  const both = await Promise.all(firsts);
  expect((await held())?.holderIdentity).toBe(holder === 'a' ? 'b' : 'a');
  expect((await held())?.leaseTransitions).toBe(1);
  await Promise.all(both.map((one) => one.release()));
});

test('one that cannot renew knows that it is lost before another leads', async () => {
  let isSilent = false;
  const silent = storeWith((write) => (isSilent ? new Promise(() => undefined) : write()));
  const first = await acquireLease(options('a', { store: silent }), ending().signal);
  isSilent = true;
  const second = acquireLease(options('b'), ending().signal);
  expect(await Promise.race([lossOf(first), second.then(() => 'second leads')])).toMatchObject({
    code: 'ServiceUnreachable',
  });
  await (await second).release();
});

test('one that was stopped for longer than its lease lasts may do nothing when it goes on, though it has heard nothing yet', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  first.assertHeld();
  stopFor(1_100);
  expect(first.signal.aborted).toBe(false);
  expect(() => first.assertHeld()).toThrow(expect.objectContaining({ code: 'Interrupted' }));
  expect(await lossOf(first)).toMatchObject({ code: 'ServiceUnreachable' });
});

test('one that hears late that it leads counts from when it asked, as others count from when it was written', async () => {
  const slow = storeWith(async (write) => {
    const written = await write();
    stopFor(1_100);
    return written;
  });
  const first = await acquireLease(options('a', { store: slow }), ending().signal);
  expect(() => first.assertHeld()).toThrow(expect.objectContaining({ code: 'Interrupted' }));
  expect(await lossOf(first)).toMatchObject({ code: 'ServiceUnreachable' });
});

test('one that does not hear that it has renewed goes on all the same', async () => {
  let isDeaf = false;
  let lostAnswers = 0;
  const deaf = storeWith(async (write) => {
    const written = await write();
    if (!isDeaf) return written;
    isDeaf = false;
    lostAnswers += 1;
    throw new Fault('ServiceUnreachable', 'the connection broke');
  });
  const first = await acquireLease(options('a', { store: deaf }), ending().signal);
  isDeaf = true;
  await vi.waitFor(() => expect(lostAnswers).toBe(1));
  const renewed = (await held())?.renewTime;
  await vi.waitFor(async () => {
    expect(first.signal.aborted || (await held())?.renewTime !== renewed).toBe(true);
  });
  first.assertHeld();
  isDeaf = false;
  await first.release();
  expect((await held())?.holderIdentity).toBe('');
});

test('one that gave its lease up does not rely on it any more', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  await first.release();
  expect(() => first.assertHeld()).toThrow(expect.objectContaining({ code: 'Interrupted' }));
});

test('one whose lease was taken over ends at once and gives up nothing of the other', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  const lease = await store.get(clusterResources.leases, { namespace: 'longshore', name: 'controller' });
  if (lease === undefined) throw new Error('no lease');
  const { resourceVersion: _, ...metadata } = lease.metadata;
  await store.update(clusterResources.leases, { ...lease, metadata, spec: { ...lease.spec, holderIdentity: 'b' } });
  expect(await lossOf(first)).toMatchObject({ code: 'Conflict' });
  // Not Conflict: that would be taken for one of the object that is written, and tried again.
  expect(() => first.assertHeld()).toThrow(expect.objectContaining({ code: 'Interrupted' }));
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

test('who waits goes on when its watch is told to begin anew', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  let expired = 0;
  const expiring = storeWith((write) => write());
  const watch: ObjectStore['watch'] = (resource, asked) => {
    if (expired > 0) return store.watch(resource, asked);
    expired += 1;
    throw new Fault('Gone', 'too old resource version');
  };
  const second = acquireLease(options('b', { store: { ...expiring, watch } }), ending().signal);
  await first.release();
  await (await second).release();
  expect(expired).toBe(1);
});

test('who waits ends when it is told to', async () => {
  const first = await acquireLease(options('a'), ending().signal);
  const stop = ending();
  const second = acquireLease(options('b'), stop.signal);
  stop.abort(new Fault('Interrupted', 'stopping'));
  await expect(second).rejects.toMatchObject({ code: 'Interrupted' });
  await first.release();
});
