// Kubernetes events about DataVolumes and claims, beside the work: nobody waits for one, and one that cannot be written is logged. The same event about
// the same object is counted, also over restarts, because its name is made from what it says. Times have microseconds and none comes twice, so that
// sorting by them (`kubectl get events --sort-by=.lastTimestamp`) shows the order in which things happened, also within a second.
import { createHash } from 'node:crypto';
import { toFault } from '../domain/fault.ts';
import type { KubeEvent } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectStore } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import type { EventText } from './data-volumes/data-volume-phase.ts';

const component = 'longshore-controller';
/** As kube-apiserver's limit for events with a time in microseconds. */
const longestMessage = 1_024;
/** A clock that was set back further than this is followed. */
const mostAheadMicros = 1_000_000;

export class EventRecorder {
  readonly #store: ObjectStore;
  readonly #logger: Logger;
  /** Events of one object are written one after the other, so they stay in order. */
  readonly #tails = new Map<string, Promise<void>>();
  #lastMicros = 0;

  constructor(store: ObjectStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  record(object: KubeObject, text: EventText): void {
    const uid = object.metadata.uid ?? '';
    const time = this.#now();
    const written = (this.#tails.get(uid) ?? Promise.resolve()).then(() => this.#write(eventOf(object, text, time)));
    this.#tails.set(uid, written);
    void written.then(() => {
      if (this.#tails.get(uid) === written) this.#tails.delete(uid);
    });
  }

  /** Resolves when all events so far were written. */
  async drained(): Promise<void> {
    await Promise.all(this.#tails.values());
  }

  /** As Kubernetes' MicroTime, each later than the one before. */
  #now(): string {
    const clock = Date.now() * 1_000;
    const isAhead = this.#lastMicros >= clock && this.#lastMicros - clock < mostAheadMicros;
    const micros = isAhead ? this.#lastMicros + 1 : clock;
    this.#lastMicros = micros;
    const millis = new Date(Math.floor(micros / 1_000)).toISOString().slice(0, -1);
    return `${millis}${String(micros % 1_000).padStart(3, '0')}Z`;
  }

  async #write(event: KubeEvent): Promise<void> {
    try {
      try {
        await this.#store.create(resources.events, event);
      } catch (error) {
        if (toFault(error).code !== 'AlreadyExists') throw error;
        await this.#count(event);
      }
    } catch (error) {
      this.#logger.warn(
        { err: toFault(error), reason: event.reason, object: event.involvedObject.name },
        'event not written',
      );
    }
  }

  async #count(event: KubeEvent): Promise<void> {
    const { namespace, name } = event.metadata;
    const before = await this.#store.get(resources.events, { ...(namespace === undefined ? {} : { namespace }), name });
    if (before === undefined) return;
    const { resourceVersion: _, ...metadata } = before.metadata;
    const counted: KubeEvent = { ...before, metadata, count: (before.count ?? 1) + 1 };
    if (event.lastTimestamp !== undefined) counted.lastTimestamp = event.lastTimestamp;
    await this.#store.update(resources.events, counted);
  }
}

function eventOf(object: KubeObject, text: EventText, time: string): KubeEvent {
  const { namespace = '', name, uid = '', resourceVersion } = object.metadata;
  const what = createHash('sha256').update(`${uid} ${text.type} ${text.reason} ${text.message}`).digest('hex');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    // What has no namespace is told of where Kubernetes tells of it.
    metadata: {
      namespace: namespace === '' ? 'default' : namespace,
      name: `${name.slice(0, 236)}.${what.slice(0, 16)}`,
    },
    involvedObject: {
      ...{ apiVersion: object.apiVersion, kind: object.kind, name, uid },
      ...(namespace === '' ? {} : { namespace }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    ...{ type: text.type, reason: text.reason, message: text.message.slice(0, longestMessage) },
    source: { component },
    ...{ reportingComponent: component, reportingInstance: component, action: text.reason },
    eventTime: time,
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}
