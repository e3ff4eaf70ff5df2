// A watch over HTTP: one JSON line an event, until the client goes, its time is over, or what it asks for is no longer kept.
import type { FastifyReply } from 'fastify';
import { toFault } from '../../domain/fault.ts';
import type { ListOptions } from '../../domain/object-store.ts';
import { apiVersionOf } from '../../domain/resources.ts';
import { metrics } from '../../runtime/metrics.ts';
import type { Change } from '../store/collection.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';
import { isTrue, type Query } from './api-request.ts';
import { statusOf } from './kube-status.ts';
import { entryText, type Wanted } from './representation.ts';
import type { ServedKind } from './served-kinds.ts';
import { tableOf } from './table.ts';

const bookmarkEveryMs = 60_000;
/** A client that lets this much wait is cut off; it can resume. */
const backlogBytes = 32 * 1024 * 1024;
const longestWatchSeconds = 3_600;

function secondsOf(text: string | undefined): number {
  const asked = Number(text ?? 0);
  if (Number.isFinite(asked) && asked > 0) return Math.min(asked, 86_400);
  // Spread, so that clients do not come back all at once.
  return longestWatchSeconds / 2 + Math.random() * (longestWatchSeconds / 2);
}

export class WatchStream {
  readonly #store: SqliteStore;
  readonly #kind: ServedKind;
  readonly #wanted: Wanted;
  readonly #reply: FastifyReply;
  readonly #mayStill: () => boolean;
  #first = true;

  /** @param mayStill asked before each event: whether the client may still see what it asked for */
  constructor(store: SqliteStore, kind: ServedKind, wanted: Wanted, reply: FastifyReply, mayStill: () => boolean) {
    this.#mayStill = mayStill;
    this.#store = store;
    this.#kind = kind;
    this.#wanted = wanted;
    this.#reply = reply;
  }

  /** Sends until it ends; leaves no listener and no timer. */
  run(options: ListOptions, query: Query): void {
    const { raw } = this.#reply;
    this.#reply.hijack();
    // The client may have gone before its request was read.
    if (raw.destroyed) return;
    raw.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
    raw.flushHeaders();
    const labels = { resource: this.#kind.ref.plural };
    metrics.add('longshore_api_watches', labels, 1);
    raw.once('close', () => metrics.add('longshore_api_watches', labels, -1));
    const stop = this.#follow(options, query);
    if (stop === undefined) return;
    const bookmarks = isTrue(query['allowWatchBookmarks'])
      ? setInterval(() => this.#bookmark(this.#store.version), bookmarkEveryMs)
      : undefined;
    const timer = setTimeout(() => raw.end(), secondsOf(query['timeoutSeconds']) * 1_000);
    raw.once('close', () => {
      stop();
      clearInterval(bookmarks);
      clearTimeout(timer);
    });
  }

  #follow(options: ListOptions, query: Query): (() => void) | undefined {
    const { resourceVersion } = query;
    const sendsInitial = isTrue(query['sendInitialEvents']);
    const fromStart =
      sendsInitial || resourceVersion === undefined || resourceVersion === '' || resourceVersion === '0';
    const since = fromStart && query['sendInitialEvents'] !== 'false' ? this.#store.version : (resourceVersion ?? '0');
    try {
      if (fromStart && query['sendInitialEvents'] !== 'false') {
        for (const entry of this.#store.entries(this.#kind.ref, options)) this.#send({ type: 'ADDED', entry });
        if (sendsInitial) this.#bookmark(since, { 'k8s.io/initial-events-end': 'true' });
      }
      const from = since === '0' || since === '' ? this.#store.version : since;
      return this.#store.follow(this.#kind.ref, options, from, (change) => this.#send(change));
    } catch (error) {
      this.#write('ERROR', JSON.stringify(statusOf(toFault(error))));
      this.#reply.raw.end();
      return undefined;
    }
  }

  #send({ type, entry }: Change): void {
    this.#write(type, entryText(this.#kind, entry, this.#wanted, this.#first));
    this.#first = false;
  }

  #bookmark(version: string, annotations?: Record<string, string>): void {
    const { ref } = this.#kind;
    const table = this.#wanted.accepted.representation === 'table';
    const metadata = { resourceVersion: version, creationTimestamp: null, ...(annotations ? { annotations } : {}) };
    const object = table
      ? tableOf(this.#kind, [], { resourceVersion: version }, { include: 'None', withColumns: this.#first })
      : { kind: ref.kind, apiVersion: apiVersionOf(ref), metadata };
    this.#write('BOOKMARK', JSON.stringify(object));
    if (table) this.#first = false;
  }

  #write(type: string, objectText: string): void {
    const { raw } = this.#reply;
    if (raw.destroyed || raw.writableEnded) return;
    if (!this.#mayStill()) {
      raw.end();
      return;
    }
    raw.write(`{"type":"${type}","object":${objectText}}\n`);
    if (raw.writableLength > backlogBytes) raw.destroy();
  }
}
