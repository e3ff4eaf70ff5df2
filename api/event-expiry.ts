// Events are kept for an hour, as in Kubernetes; without this the store would grow for ever.

import { toFault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SqliteStore } from './store/sqlite-store.ts';
import { objectOf } from './store/stored-entry.ts';

const keptMs = 3_600_000;
const checkEveryMs = 300_000;

/** Removes events that were last seen more than an hour before. */
export async function expireEvents(store: SqliteStore, now: Date): Promise<void> {
  for (const entry of store.entries(resources.events)) {
    const event = objectOf(entry);
    const seen = Date.parse(String(event['lastTimestamp'] ?? event.metadata.creationTimestamp));
    const isOld = Number.isNaN(seen) || now.getTime() - seen > keptMs;
    // One that was seen again in between has another uid or version, and stays.
    if (isOld) await store.delete(resources.events, entry, { resourceVersion: String(entry.version) });
  }
}

export function startEventExpiry(store: SqliteStore, logger: Logger): { stop(): void } {
  const timer = setInterval(() => {
    expireEvents(store, new Date()).catch((error: unknown) => {
      const fault = toFault(error);
      if (fault.code !== 'Conflict' && fault.code !== 'NotFound')
        logger.warn({ err: fault }, 'events were not expired');
    });
  }, checkEveryMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
