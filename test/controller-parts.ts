// The controller's parts without its loop, for tests of what its rounds read: a real store and real caches that the test fills by hand.
import { SqliteStore } from '../api/store/sqlite-store.ts';
import type { ControllerContext } from '../controller/controller-context.ts';
import { EventRecorder } from '../controller/event-recorder.ts';
import { type NodeView, NodeViews } from '../controller/nodes/node-views.ts';
import { ObjectCache } from '../controller/object-cache.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { byChannel } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';
import { loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export class ControllerParts {
  readonly store: SqliteStore;
  readonly context: ControllerContext;
  /** What the rounds asked to be woken for, as `what for namespace/name`. */
  readonly waits: string[] = [];
  readonly #undo: AsyncDisposableStack;

  private constructor(store: SqliteStore, undo: AsyncDisposableStack) {
    this.store = store;
    this.#undo = undo;
    const config = loadConfig({ LONGSHORE_LOG_LEVEL: 'silent', LONGSHORE_ATTEMPT_LIMIT: '3' });
    const logger = createLogger(config, 'test');
    const cacheOf = <T extends KubeObject>(resource: ResourceRef<T>) =>
      new ObjectCache<T>({ store, resource, logger, retryMs: 10, onChange: () => undefined });
    const notHere = async (): Promise<never> => {
      throw new Error('facts are gathered without the queue');
    };
    this.context = {
      ...{ store, config, logger, provisioning: byChannel, queues: { add: notHere, remove: notHere } },
      caches: {
        dataVolumes: cacheOf(resources.dataVolumes),
        claims: cacheOf(resources.claims),
        storageClasses: cacheOf(resources.storageClasses),
        cdiConfigs: cacheOf(resources.cdiConfigs),
        storageProfiles: cacheOf(resources.storageProfiles),
        dataSources: cacheOf(resources.dataSources),
        dataImportCrons: cacheOf(resources.dataImportCrons),
      },
      nodes: new NodeViews(60_000),
      channels: new Map(),
      outcomes: new Map(),
      refusals: new Map(),
      enqueued: new Map(),
      claimsByVolume: new Map(),
      events: new EventRecorder(store, logger),
      wakeClaim: () => undefined,
      wakeDataVolume: () => undefined,
      waitFor: (what, { namespace, name }) => this.waits.push(`${what} for ${namespace}/${name}`),
    };
  }

  static async open(): Promise<ControllerParts> {
    await using undo = new AsyncDisposableStack();
    const store = await SqliteStore.open(await temporaryDirectory(undo, 'parts'));
    undo.defer(() => store.close());
    return new ControllerParts(store, undo.move());
  }

  /** A connected node whose inventory has come. */
  node(name: string, freeBytes: number): NodeView {
    const view = this.context.nodes.enter(name);
    view.enter();
    const usage = {
      ...{ reflink: false, enforcement: 'none', capacityBytes: freeBytes, freeBytes, leftBytes: freeBytes },
      ...{ usedBytes: 0, reservedBytes: 0, largestVolumeBytes: freeBytes },
    };
    const pools = [{ name: 'default', directory: '/pool', usage }];
    view.takeInventory({ volumes: [], running: [], waiting: [], received: [], pools });
    return view;
  }

  async close(): Promise<void> {
    await this.#undo.disposeAsync();
  }
}
