// A watch of one collection of kube-apiserver as the port promises it: what exists, a bookmark, what changes. The server ends every watch after some
// minutes, and connections break: it is then gone on with from the last version that was told, so that nothing is missed and nothing is told twice.
import { Fault, toFault } from '../domain/fault.ts';
import type { KubeObject, WatchEvent } from '../domain/object-store.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import type { KubeClient } from './kube-client.ts';
import { kubeFault } from './kube-faults.ts';

export interface WatchedCollection<T extends KubeObject> {
  client: KubeClient;
  path: string;
  /** Selectors. */
  query: Readonly<Record<string, string>>;
  /** Everything that exists, page by page, and the version to watch from. */
  list(): Promise<{ items: T[]; resourceVersion: string }>;
  /** The newest version that the server has now. */
  newestVersion(): Promise<string>;
  /** Version to go on from; undefined: what exists is told first. */
  resourceVersion: string | undefined;
  signal: AbortSignal;
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;

/** Ends when the signal aborts. @throws Fault Gone where it has to be begun anew, Forbidden, Unauthenticated, NotFound (no such resource) */
export async function* watchCollection<T extends KubeObject>(
  watched: WatchedCollection<T>,
): AsyncGenerator<WatchEvent<T>> {
  const { signal } = watched;
  try {
    let since = watched.resourceVersion;
    let isSure = false;
    if (since === undefined) {
      const { items, resourceVersion } = await watched.list();
      for (const object of items) yield { type: 'ADDED', object };
      yield { type: 'BOOKMARK', resourceVersion };
      since = resourceVersion;
      isSure = true;
    }
    let pauseMs = firstPauseMs;
    while (!signal.aborted) {
      try {
        if (!isSure) await refuseFuture(watched, since);
        isSure = false;
        for await (const event of changesSince(watched, since)) {
          since = event.type === 'BOOKMARK' ? event.resourceVersion : (event.object.metadata.resourceVersion ?? since);
          pauseMs = firstPauseMs;
          yield event;
        }
      } catch (error) {
        const fault = toFault(error, { signal });
        if (fault.code !== 'ServiceUnreachable') throw fault;
      }
      // A server that went away is asked by many at once when it is back: not all at the same moment.
      await pauseFor(pauseMs * (0.5 + Math.random()), signal);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/**
 * A server that was restored from an older copy, or is another one, waits without a word for a version that it does not have yet.
 * @throws Fault Gone
 */
async function refuseFuture<T extends KubeObject>(watched: WatchedCollection<T>, since: string): Promise<void> {
  const newest = await watched.newestVersion();
  if (BigInt(since) > BigInt(newest)) throw new Fault('Gone', `version ${since} is not known; the newest is ${newest}`);
}

async function* changesSince<T extends KubeObject>(
  { client, path, query, signal }: WatchedCollection<T>,
  resourceVersion: string,
): AsyncGenerator<WatchEvent<T>> {
  const asked = { ...query, watch: 'true', allowWatchBookmarks: 'true', resourceVersion };
  for await (const line of client.lines({ method: 'GET', path, query: asked, signal })) yield eventOf<T>(line, path);
}

function eventOf<T extends KubeObject>(line: unknown, path: string): WatchEvent<T> {
  // Safe as far as a remote answer can be: these are the events of the watch protocol, and the path names the kind of the objects.
  const { type, object } = line as { type: string; object: T };
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object };
    case 'BOOKMARK':
      return { type, resourceVersion: object.metadata.resourceVersion ?? '' };
    case 'ERROR':
      throw kubeFault(500, object, `watch ${path}`);
    default:
      throw new Fault('ServiceUnreachable', `watch ${path}: an event of type ${type}`);
  }
}
