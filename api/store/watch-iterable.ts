// A watch as an AsyncIterable of objects, for code of this process that reads them one by one.
import type { KubeObject, WatchEvent } from '../../domain/object-store.ts';
import { type FollowSource, followEntries } from './follow-entries.ts';
import { objectOf } from './stored-entry.ts';

/** The texts are the store's own, so they cost little until objects change again. */
const backlogBytes = 64 * 1024 * 1024;

/** @throws Fault Gone while iterating. Ends when the signal aborts; nothing is left behind. */
export async function* followAsIterable<T extends KubeObject>(
  source: FollowSource,
  options: { resourceVersion?: string; signal: AbortSignal },
): AsyncGenerator<WatchEvent<T>> {
  for await (const told of followEntries(source, { ...options, backlogBytes })) {
    if (told.type === 'BOOKMARK') yield { type: 'BOOKMARK', resourceVersion: told.version };
    else yield { type: told.type, object: objectOf<T>(told.entry) };
  }
}
