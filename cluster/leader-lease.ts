// One of several processes leads: the one whose name stands in a Lease that it keeps renewing. Who waits watches the Lease change and takes it over
// when it has not changed for its whole duration by the waiter's own clock, so clocks need not agree. A holder that cannot renew in time stops
// before another may begin: `lostAfterMs` is shorter than the duration.
//
//   waiting ──free, or not renewed for durationMs──► leading ──not renewed for lostAfterMs, or taken by another──► ended
import { setTimeout as delay } from 'node:timers/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import { clusterResources, type Lease } from './cluster-resources.ts';

export interface LeaseOptions {
  store: ObjectStore;
  namespace: string;
  name: string;
  /** Unique to this process; tells a person where it runs. */
  identity: string;
  logger: Logger;
  /** Tells who waits whether another leads: one that was seen to renew the lease. At first nobody is known to. */
  onLed?: (isLed: boolean) => void;
  durationMs?: number;
  lostAfterMs?: number;
  /** Between renewals, and before who waits tries again. */
  everyMs?: number;
}

export interface Leadership {
  /** Aborts when it is lost; its reason says why. */
  readonly signal: AbortSignal;
  /** Says at this moment whether it may still be relied on, also to a process that was stopped for a while and has noticed nothing. @throws Fault Interrupted, with why not */
  assertHeld(): void;
  /** Gives the lease up, so that another need not wait for its end; it is not held from then on. To be called when everything that leads has stopped. */
  release(): Promise<void>;
}

const { leases } = clusterResources;
/** Another was faster, or the watch is to begin anew. */
const passing: ReadonlySet<FaultCode> = new Set(['AlreadyExists', 'Gone']);

/** Waits until this process leads. @throws Fault the signal's reason, Forbidden */
export async function acquireLease(options: LeaseOptions, signal: AbortSignal): Promise<Leadership> {
  const { store, name, logger, everyMs = 2_000 } = options;
  const seen = { version: '', atMs: 0 };
  for (;;) {
    try {
      const free = await untilFree(options, seen, signal);
      // Others count from when they see it; we from before it was sent, however long the answer takes.
      const asked = performance.now();
      const wanted = free === undefined ? newLease(options) : taken(free, options);
      const lease = await (free === undefined ? store.create(leases, wanted) : store.update(leases, wanted));
      return lead(lease, asked, options);
    } catch (error) {
      signal.throwIfAborted();
      const fault = toFault(error);
      if (!fault.retryable && !passing.has(fault.code)) throw fault;
      logger.debug({ err: fault, lease: name }, 'lease not taken');
    }
    await pauseFor(everyMs, signal);
  }
}

/**
 * Waits until the lease was given up, or has not changed for its whole duration.
 * @param seen its latest version, and when that came
 * @returns undefined where there is none
 */
async function untilFree(
  { store, namespace, name, onLed, durationMs = 15_000 }: LeaseOptions,
  seen: { version: string; atMs: number },
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const over = new AbortController();
  let lease: Lease | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const asked = { namespace, fieldSelector: `metadata.name=${name}`, signal: AbortSignal.any([signal, over.signal]) };
    for await (const event of store.watch(leases, asked)) {
      if (event.type === 'DELETED') return undefined;
      if (event.type !== 'BOOKMARK') {
        lease = event.object;
        if ((lease.spec.holderIdentity ?? '') === '') return lease;
        const { resourceVersion: version = '' } = lease.metadata;
        if (version !== seen.version) {
          if (seen.version !== '') onLed?.(true);
          Object.assign(seen, { version, atMs: performance.now() });
        }
        clearTimeout(timer);
        timer = setTimeout(() => over.abort(), seen.atMs + durationMs - performance.now());
      } else if (lease === undefined) return undefined;
    }
  } finally {
    clearTimeout(timer);
    over.abort();
    onLed?.(false);
  }
  signal.throwIfAborted();
  return lease;
}

function newLease(options: LeaseOptions): Lease {
  const { namespace, name } = options;
  return {
    ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } },
    spec: { ...held(options), acquireTime: microTime(), leaseTransitions: 0 },
  };
}

function held({ identity, durationMs = 15_000 }: LeaseOptions): Lease['spec'] {
  return { holderIdentity: identity, leaseDurationSeconds: Math.ceil(durationMs / 1_000), renewTime: microTime() };
}

function taken(lease: Lease, options: LeaseOptions): Lease {
  const leaseTransitions = (lease.spec.leaseTransitions ?? 0) + 1;
  return { ...lease, spec: { ...lease.spec, ...held(options), acquireTime: microTime(), leaseTransitions } };
}

/** @param renewedAt when it was asked for */
function lead(taken: Lease, renewedAt: number, options: LeaseOptions): Leadership {
  const { identity, logger, name } = options;
  const lost = new AbortController();
  const stop = new AbortController();
  let lease = taken;
  logger.info({ lease: name, identity }, 'leads');
  const age = { renewedAt };
  const renewing = keepRenewing(options, age, stop.signal, async () => {
    lease = await rewrite(lease, held(options), options);
  }).catch((error: unknown) => lost.abort(toFault(error)));
  return {
    signal: lost.signal,
    assertHeld: () => {
      const cause = lost.signal.aborted ? toFault(lost.signal.reason) : late(name);
      if (lost.signal.aborted || leftOf(age, options) <= 0) throw new Fault('Interrupted', cause.detail, { cause });
      if (stop.signal.aborted) throw new Fault('Interrupted', `the lease ${name} was given up`);
    },
    release: async () => {
      stop.abort();
      await renewing;
      if (lost.signal.aborted) return;
      await rewrite(lease, { holderIdentity: '', renewTime: microTime() }, options).catch((error: unknown) => {
        logger.info({ lease: name, err: toFault(error) }, 'lease not given up; it ends by itself');
      });
    },
  };
}

/** Also where its version is not the known one, but it is still ours: then a write was done whose answer was lost. @throws Fault Conflict, NotFound where it is another's */
async function rewrite(lease: Lease, change: Partial<Lease['spec']>, options: LeaseOptions): Promise<Lease> {
  const { store, identity, namespace, name } = options;
  const write = (known: Lease) => store.update(leases, { ...known, spec: { ...known.spec, ...change } });
  try {
    return await write(lease);
  } catch (error) {
    if (toFault(error).code !== 'Conflict') throw error;
    const found = await store.get(leases, { namespace, name });
    if (found?.spec.holderIdentity !== identity) throw error;
    return write(found);
  }
}

/** Ends when the signal aborts. @throws Fault ServiceUnreachable when the lease could not be renewed in time, Conflict when it is another's */
async function keepRenewing(
  options: LeaseOptions,
  age: { renewedAt: number },
  signal: AbortSignal,
  renew: () => Promise<void>,
): Promise<void> {
  const { name, logger, everyMs = 2_000 } = options;
  for (;;) {
    try {
      await pauseFor(everyMs, signal);
    } catch {
      return; // asked to stop: the only reason for a pause to end early
    }
    const begun = performance.now();
    const left = leftOf(age, options);
    if (left <= 0) throw late(name);
    try {
      await within(renew(), left);
      age.renewedAt = begun;
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === 'Conflict' || fault.code === 'NotFound') {
        throw new Fault('Conflict', `the lease ${name} was taken by another`, { cause: fault });
      }
      if (leftOf(age, options) <= 0) throw late(name, fault);
      logger.warn({ lease: name, err: fault }, 'lease not renewed, tried again');
    }
  }
}

/** Milliseconds for which a lease that was renewed then may be relied on. */
function leftOf({ renewedAt }: { renewedAt: number }, { lostAfterMs = 10_000 }: LeaseOptions): number {
  return renewedAt + lostAfterMs - performance.now();
}

function late(name: string, cause?: Fault): Fault {
  return new Fault('ServiceUnreachable', `the lease ${name} could not be renewed in time`, { cause });
}

async function within(work: Promise<void>, limitMs: number): Promise<void> {
  const limit = new AbortController();
  const expiry = async (): Promise<never> => {
    await delay(Math.max(0, limitMs), undefined, { signal: limit.signal });
    throw new Fault('TimedOut', 'the API did not answer in time');
  };
  const tooLate = expiry();
  tooLate.catch(() => undefined); // the work was faster, or the race tells it
  try {
    await Promise.race([work, tooLate]);
  } finally {
    limit.abort();
  }
}

/** As Kubernetes writes MicroTime. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
