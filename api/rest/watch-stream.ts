// A watch over HTTP: one JSON line an event, as fast as the client reads, until the client goes, its time is over, or what it asks for is no longer kept.
// A slow client holds little of ours: what is there is written from the store's own texts, and of what changes meanwhile only so much waits.
import { pipeline } from 'node:stream/promises';
import type { FastifyReply } from 'fastify';
import { toFault } from '../../domain/fault.ts';
import type { ListOptions } from '../../domain/object-store.ts';
import { apiVersionOf } from '../../domain/resources.ts';
import { metrics } from '../../runtime/metrics.ts';
import type { Followed } from '../store/follow-entries.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';
import type { StoredEntry } from '../store/stored-entry.ts';
import { isTrue, type Query } from './api-request.ts';
import { statusOf } from './kube-status.ts';
import { entryText, type Wanted } from './representation.ts';
import type { ServedKind } from './served-kinds.ts';
import { tableOf } from './table.ts';

/** Changes that may wait for a client. One that lets more wait is told 410, as by Kubernetes, and lists again. */
const backlogBytes = 16 * 1024 * 1024;
/** A client that takes nothing for so long, though there is something for it, is cut off; it can resume. */
const longestStallMs = 60_000;
const longestWatchSeconds = 3_600;

function secondsOf(text: string | undefined): number {
  const asked = Number(text ?? 0);
  if (Number.isFinite(asked) && asked > 0) return Math.min(asked, 86_400);
  // Spread, so that clients do not come back all at once.
  return longestWatchSeconds / 2 + Math.random() * (longestWatchSeconds / 2);
}

/** Where a watch begins: with what is there, or behind a version. */
function beginningOf(query: Query, now: string): { resourceVersion?: string } {
  const { resourceVersion = '', sendInitialEvents } = query;
  const fromStart = isTrue(sendInitialEvents) || resourceVersion === '' || resourceVersion === '0';
  if (!fromStart) return { resourceVersion };
  return sendInitialEvents === 'false' ? { resourceVersion: now } : {};
}

function lineOf(type: string, objectText: string): string {
  return `{"type":"${type}","object":${objectText}}\n`;
}

export interface WatchOptions {
  store: SqliteStore;
  kind: ServedKind;
  wanted: Wanted;
  /** Asked before each event: whether the client may still see what it asked for. */
  mayStill: () => boolean;
  /** Default 60 s. */
  longestStallMs?: number;
}

export class WatchStream {
  readonly #options: WatchOptions;
  #first = true;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Sends until it ends; leaves no listener and no timer. */
  async run(reply: FastifyReply, options: ListOptions, query: Query): Promise<void> {
    const { raw } = reply;
    reply.hijack();
    // The client may have gone before its request was read.
    if (raw.destroyed) return;
    raw.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
    raw.flushHeaders();
    raw.setTimeout(this.#options.longestStallMs ?? longestStallMs, () => {
      if (raw.writableNeedDrain || raw.writableEnded) raw.destroy();
    });
    const over = new AbortController();
    raw.once('close', () => over.abort());
    const timer = setTimeout(() => over.abort(), secondsOf(query['timeoutSeconds']) * 1_000);
    const labels = { resource: this.#options.kind.ref.plural };
    metrics.add('longshore_api_watches', labels, 1);
    try {
      await pipeline(this.#lines(options, query, over.signal), raw);
    } catch (error) {
      // The client went: nobody is left to be told.
      if (!raw.destroyed) throw error;
    } finally {
      clearTimeout(timer);
      metrics.add('longshore_api_watches', labels, -1);
    }
  }

  async *#lines(options: ListOptions, query: Query, signal: AbortSignal): AsyncGenerator<string> {
    const { store, kind, mayStill } = this.#options;
    const beginning = beginningOf(query, store.version);
    try {
      for await (const told of store.followEntries(kind.ref, { ...options, ...beginning, backlogBytes, signal })) {
        if (!mayStill()) return;
        if (told.type !== 'BOOKMARK') yield lineOf(told.type, this.#entryText(told.entry));
        else if (isTrue(query[told.endsInitial ? 'sendInitialEvents' : 'allowWatchBookmarks'])) {
          yield lineOf('BOOKMARK', this.#bookmarkText(told));
        }
      }
    } catch (error) {
      yield lineOf('ERROR', JSON.stringify(statusOf(toFault(error))));
    }
  }

  #entryText(entry: StoredEntry): string {
    const text = entryText(this.#options.kind, entry, this.#options.wanted, this.#first);
    this.#first = false;
    return text;
  }

  #bookmarkText({ version, endsInitial }: Extract<Followed, { type: 'BOOKMARK' }>): string {
    const { kind, wanted } = this.#options;
    if (wanted.accepted.representation === 'table') {
      const withColumns = this.#first;
      this.#first = false;
      return JSON.stringify(tableOf(kind, [], { resourceVersion: version }, { include: 'None', withColumns }));
    }
    const annotations = endsInitial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    const metadata = { resourceVersion: version, creationTimestamp: null, ...annotations };
    return JSON.stringify({ kind: kind.ref.kind, apiVersion: apiVersionOf(kind.ref), metadata });
  }
}
