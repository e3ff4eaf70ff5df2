// The status of CDI objects, which clients of CDI read to see whether it is installed. Longshore is installed by its chart, so the first of them is told to be
// deployed, with the version that runs, and any further one that it counts for nothing, as CDI's operator does.
import { dated, type Wanted } from '../controller/dated-condition.ts';
import { ObjectCache } from '../controller/object-cache.ts';
import { toFault } from '../domain/fault.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import type { Logger } from '../runtime/logger.ts';
import { type Cdi, clusterResources } from './cluster-resources.ts';

const retryMs = 1_000;

export interface CdiStatusesOptions {
  store: ObjectStore;
  version: string;
  logger: Logger;
}

/** Keeps them until the signal aborts; resolves then. */
export async function keepCdiStatuses(options: CdiStatusesOptions, signal: AbortSignal): Promise<void> {
  const { store, version, logger } = options;
  const keep = async () => {
    const [first, ...others] = [...cache.values()].sort(byAge);
    for (const cdi of first === undefined ? [] : [first, ...others]) {
      const status = cdiStatus(cdi, { isFirst: cdi === first, version, now: new Date() });
      if (JSON.stringify(status) === JSON.stringify(cdi.status)) continue;
      cache.put(await store.update(clusterResources.cdis, { ...cdi, status }));
    }
  };
  let keeping = Promise.resolve();
  const keepSoon = () => {
    if (signal.aborted) return;
    keeping = keeping.then(keep).catch((error: unknown) => {
      const fault = toFault(error);
      // The watch is about to tell what it has become.
      if (fault.code === 'Conflict' || fault.code === 'NotFound' || signal.aborted) return;
      logger.warn({ err: fault }, 'the status of a CDI object could not be written, tried again');
      setTimeout(keepSoon, retryMs).unref();
    });
  };
  const resource = clusterResources.cdis;
  const cache: ObjectCache<Cdi> = new ObjectCache<Cdi>({ store, resource, logger, retryMs, onChange: keepSoon });
  await cache.follow(signal);
  await keeping;
}

function byAge(one: Cdi, other: Cdi): number {
  const [mine, theirs] = [one.metadata.creationTimestamp ?? '', other.metadata.creationTimestamp ?? ''];
  return mine.localeCompare(theirs) || one.metadata.name.localeCompare(other.metadata.name);
}

function cdiStatus(
  { status: former = {} }: Cdi,
  { isFirst, version, now }: { isFirst: boolean; version: string; now: Date },
): NonNullable<Cdi['status']> {
  const condition = (type: string, isTrue: boolean): Wanted => ({
    ...{ type, status: isTrue ? 'True' : 'False' },
    ...(isFirst
      ? { reason: 'DeployCompleted', message: 'Installed by its chart' }
      : { reason: 'ConfigError', message: 'Only the first object of this kind counts' }),
  });
  const wanted = [
    condition('Available', isFirst),
    condition('Progressing', false),
    condition('Degraded', !isFirst),
  ] as const;
  return {
    ...former,
    phase: isFirst ? 'Deployed' : 'Error',
    conditions: wanted.map((each) => dated(former.conditions ?? [], each, now)),
    ...{ operatorVersion: version, targetVersion: version, observedVersion: version },
  };
}
