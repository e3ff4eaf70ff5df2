// Kubernetes events about DataVolumes and claims, beside the work: nobody waits for one, and one that cannot be written is logged. The same event about
// the same object is counted, also over restarts, because its name is made from what it says.
import { createHash } from 'node:crypto';
import { toFault } from '../domain/fault.ts';
import type { KubeEvent } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectStore } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import { kubeTime } from './data-volume-conditions.ts';
import type { EventText } from './data-volume-phase.ts';

const component = 'longshore-controller';

export class EventRecorder {
  readonly #store: ObjectStore;
  readonly #logger: Logger;
  /** Events of one object are written one after the other, so they stay in order. */
  readonly #tails = new Map<string, Promise<void>>();

  constructor(store: ObjectStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  record(object: KubeObject, text: EventText): void {
    const uid = object.metadata.uid ?? '';
    const written = (this.#tails.get(uid) ?? Promise.resolve()).then(() => this.#write(object, text));
    this.#tails.set(uid, written);
    void written.then(() => {
      if (this.#tails.get(uid) === written) this.#tails.delete(uid);
    });
  }

  /** Resolves when all events so far were written. */
  async drained(): Promise<void> {
    await Promise.all(this.#tails.values());
  }

  async #write(object: KubeObject, text: EventText): Promise<void> {
    try {
      const event = eventOf(object, text, new Date());
      try {
        await this.#store.create(resources.events, event);
      } catch (error) {
        if (toFault(error).code !== 'AlreadyExists') throw error;
        await this.#count(event);
      }
    } catch (error) {
      this.#logger.warn(
        { err: toFault(error), reason: text.reason, object: object.metadata.name },
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

function eventOf(object: KubeObject, text: EventText, now: Date): KubeEvent {
  const { namespace = '', name, uid = '', resourceVersion } = object.metadata;
  const what = createHash('sha256').update(`${uid} ${text.type} ${text.reason} ${text.message}`).digest('hex');
  const time = kubeTime(now);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, name: `${name.slice(0, 236)}.${what.slice(0, 16)}` },
    involvedObject: {
      ...{ apiVersion: object.apiVersion, kind: object.kind, namespace, name, uid },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    ...text,
    source: { component },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}
