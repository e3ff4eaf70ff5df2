// The looks at the sources of DataImportCrons: a few at once, by whichever worker is connected. An answer is kept until the cron has it in the store. That
// nobody is there to look is no fault of the source: it is tried again, and nothing is noted.
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import { Fault, toFault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { Place } from '../../domain/named-source.ts';
import { type ControllerContext, cdiConfigOf, channelOf } from '../controller-context.ts';
import { sourceContent } from '../inputs/source-content.ts';
import { sourceInputs } from '../inputs/source-inputs.ts';
import { WorkQueue } from '../work-queue.ts';
import type { LookOutcome } from './source-schedule.ts';

const looksAtOnce = 4;
const timeoutMs = 120_000;
const noWorkerRetryMs = 1_000;
const ofTheWorker: ReadonlySet<FaultCode> = new Set(['NodeLost', 'TooBusy', 'Interrupted', 'Cancelled']);

interface Look {
  uid: string;
  outcome: LookOutcome | undefined;
}

export class SourceLooks {
  readonly #context: ControllerContext;
  readonly #onEnd: (place: Place) => void;
  readonly #looks = new Map<string, Look>();
  readonly #ending = new AbortController();
  readonly #queue: WorkQueue;

  /** @param onEnd told when an outcome is there */
  constructor(context: ControllerContext, onEnd: (place: Place) => void) {
    this.#context = context;
    this.#onEnd = onEnd;
    this.#queue = new WorkQueue({
      ...{ concurrency: looksAtOnce, retryBaseMs: noWorkerRetryMs, retryCapMs: noWorkerRetryMs },
      work: (key) => this.#work(key),
      onError: (key, error) => context.logger.error({ key, err: toFault(error) }, 'a source was not looked at'),
    });
    this.#queue.begin();
  }

  stateOf({ metadata: { uid = '', ...place } }: DataImportCron): LookOutcome | 'running' | undefined {
    const look = this.#looks.get(keyOf(place));
    return look?.uid === uid ? (look.outcome ?? 'running') : undefined;
  }

  begin({ metadata: { uid = '', ...place } }: DataImportCron): void {
    this.#looks.set(keyOf(place), { uid, outcome: undefined });
    this.#queue.add(keyOf(place));
  }

  /** That outcome is in the store. A look that was begun since goes on. */
  settle(place: Place, outcome: LookOutcome): void {
    if (this.#looks.get(keyOf(place))?.outcome === outcome) this.#looks.delete(keyOf(place));
  }

  /** Its cron is no more. */
  forget(place: Place): void {
    this.#looks.delete(keyOf(place));
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#queue.stop();
  }

  async #work(key: string): Promise<number | undefined> {
    const look = this.#looks.get(key);
    const [namespace = '', name = ''] = key.split('/');
    const cron = this.#context.caches.dataImportCrons.get({ namespace, name });
    if (look === undefined || look.outcome !== undefined || cron === undefined) return undefined;
    const outcome = await this.#look(cron);
    if (this.#ending.signal.aborted) return undefined;
    if ('fault' in outcome && ofTheWorker.has(outcome.fault.code)) return noWorkerRetryMs;
    look.outcome = outcome;
    this.#onEnd({ namespace, name });
    return undefined;
  }

  async #look({ metadata, spec }: DataImportCron): Promise<LookOutcome> {
    const { nodes, store: reader, config } = this.#context;
    const { signal } = this.#ending;
    try {
      const { source = {} } = spec.template.spec;
      const content = sourceContent(source);
      const kind = Object.keys(source)[0] ?? 'none';
      if (content === undefined) throw new Fault('UnsupportedSource', `source ${kind} is not supported yet`);
      const node = [...nodes.all()].find(({ connected }) => connected);
      if (node === undefined) throw new Fault('NodeLost', 'no worker is connected');
      const way = { reader, cdiConfig: cdiConfigOf(this.#context), serviceNamespace: config.clusterNamespace };
      const inputs = await sourceInputs(content, { ...way, namespace: metadata.namespace ?? '', onePass: false });
      const channel = channelOf(this.#context, node.name);
      return { version: await channel.call('source.version', { source: inputs }, { timeoutMs, signal }) };
    } catch (error) {
      return { fault: toFault(error, { signal }) };
    }
  }
}

function keyOf({ namespace = '', name }: { namespace?: string; name: string }): string {
  return `${namespace}/${name}`;
}
