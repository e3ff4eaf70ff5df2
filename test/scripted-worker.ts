// The worker's end of the channel for tests of the controller: a real TLS connection and a real consumer of the queue, whose pool is a map. What an
// attempt does is said by the test.
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { Fault, type FaultRecord, faultRecord } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import type { SourceVersion } from '../domain/source-version.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import { isVolumeId } from '../domain/volume-record.ts';
import type { AttemptInputs } from '../jobs/attempt-inputs.ts';
import { Channel } from '../jobs/channel.ts';
import {
  type ControllerCalls,
  channelVersion,
  controllerCalls,
  type Inventory,
  type Outcome,
  type ParamsOf,
  type WorkerCalls,
  workerCalls,
} from '../jobs/channel-protocol.ts';
import { JobConsumer } from '../jobs/job-consumer.ts';
import type { JobPayload } from '../jobs/payload.ts';
import type { TlsPair } from '../runtime/certificates.ts';
import type { Logger } from '../runtime/logger.ts';

/** A volume and the name of its pool. */
type Held = Inventory['volumes'][number];
type WorkerChannel = Channel<ControllerCalls, WorkerCalls>;

export interface ScriptedWorkerOptions {
  node: string;
  address: string;
  tls: TlsPair;
  redisUrl: string;
  logger: Logger;
}

/** What a job does. Returning nothing leaves the attempt running without a result. */
export type Script = (job: JobPayload, inputs: AttemptInputs, signal: AbortSignal) => Promise<Outcome | undefined>;

export const report: TransferReport = {
  virtualSizeBytes: 1_048_576,
  allocatedBytes: 4_096,
  format: 'raw',
  strategy: 'stream',
  verified: 'length',
  contentDigest: `tree-sha256:${'0'.repeat(64)}`,
  fetchedBytes: 1_048_576,
  sourceBytes: 1_048_576,
  steps: [{ step: 'transfer', seconds: 0.5, bytes: 1_048_576 }],
};

/** A pool with that much room. */
export function poolState(name: string, leftBytes = 1e12): Inventory['pools'][number] {
  const usage = {
    ...{ capacityBytes: 1e12, reservedBytes: 1e12 - leftBytes, leftBytes, usedBytes: 0, freeBytes: 1e12 },
    ...{ enforcement: 'none', reflink: false, largestVolumeBytes: 1e12 },
  };
  return { name, directory: name === 'default' ? '/pool' : `/pools/${name}`, usage };
}

export class ScriptedWorker {
  readonly options: ScriptedWorkerOptions;
  readonly volumes = new Map<string, Held>();
  readonly running = new Map<string, number>();
  readonly slots = new Map<string, number>();
  readonly received = new Map<string, number>();
  /** Ended, but the controller has not been told. */
  readonly undelivered = new Map<string, number>();
  /** Names of the calls that came, in order. */
  readonly calls: string[] = [];
  /** Every set of inputs that was given. */
  readonly inputs: AttemptInputs[] = [];
  pools: Inventory['pools'] = [poolState('default')];
  /** How long it takes to tell what it holds. */
  inventoryDelayMs = 0;
  /** What every source has now. */
  version: () => SourceVersion = () => ({ etag: '"1"' });
  script: Script = async () => ({ ok: true, report });
  /** Refuses a call by throwing. */
  refuse: (call: string) => void = () => undefined;
  channel: WorkerChannel | undefined;
  #consumer: JobConsumer | undefined;

  constructor(options: ScriptedWorkerOptions) {
    this.options = options;
  }

  async connect(): Promise<void> {
    const [host, port] = [this.options.address.replace(/:\d+$/, ''), Number(/\d+$/.exec(this.options.address)?.[0])];
    const socket = connect({ host, port, ...this.options.tls });
    const channel: WorkerChannel = new Channel({
      ...{ socket, asks: controllerCalls, answers: workerCalls, logger: this.options.logger },
    });
    this.#answer(channel);
    this.channel = channel;
    const { node } = this.options;
    await channel.call('hello', { channelVersion, node, uploadAddress: '127.0.0.1:1' });
  }

  async disconnect(): Promise<void> {
    this.channel?.close();
    await this.channel?.closed;
    this.channel = undefined;
  }

  async takeJobs(): Promise<void> {
    const { redisUrl, node, logger } = this.options;
    this.#consumer = await JobConsumer.start({
      ...{ redisUrl, node, logger, concurrency: 4, lockDurationMs: 30_000 },
      process: (payload, signal) => this.#run(payload, signal),
    });
  }

  async stop(): Promise<void> {
    await this.#consumer?.close({ withinMs: 100 });
    await this.disconnect();
  }

  /** As the CSI driver of the node makes a volume for Kubernetes, and tells of it. */
  async provision(asked: Omit<ParamsOf<WorkerCalls['volume.reserve']>, 'generation' | 'mode'>): Promise<void> {
    const volume = this.#reserve({ ...asked, mode: 'Filesystem', generation: 1 });
    await this.channel?.call('volume.changed', { volume });
  }

  /** Tells the result of an attempt, as the worker does when it ended. */
  async tell(volumeId: string, attempt: number, outcome: Outcome): Promise<void> {
    this.running.delete(volumeId);
    this.undelivered.delete(volumeId);
    const record = this.volumes.get(volumeId);
    if (outcome.ok && record !== undefined) {
      const done: Held = { ...record, state: 'complete', committedAt: new Date().toISOString() };
      this.volumes.set(volumeId, { ...done, report: outcome.report });
    }
    await this.channel?.call('attempt.result', { volumeId, attempt, outcome });
  }

  async #run(job: JobPayload, signal: AbortSignal): Promise<void> {
    const { volumeId, attempt } = job;
    if (this.volumes.get(volumeId)?.fence !== attempt || this.channel === undefined) return;
    const inputs = await this.channel.call('attempt.inputs', { volumeId, attempt });
    this.inputs.push(inputs);
    this.running.set(volumeId, attempt);
    const outcome = await this.script(job, inputs, signal);
    if (outcome !== undefined) await this.tell(volumeId, attempt, outcome);
  }

  #answer(channel: WorkerChannel): void {
    const answering = <P, R>(name: string, answer: (params: P) => R) => {
      return async (params: P): Promise<R> => {
        this.calls.push(name);
        this.refuse(name);
        return answer(params);
      };
    };
    const tellInventory = answering('inventory', () => this.#inventory());
    channel.handle('inventory', async (params) => {
      if (this.inventoryDelayMs > 0) await delay(this.inventoryDelayMs);
      return tellInventory(params);
    });
    channel.handle(
      'volume.reserve',
      answering('volume.reserve', (asked) => this.#reserve(asked)),
    );
    channel.handle(
      'volume.expand',
      answering('volume.expand', ({ volumeId, sizeBytes }: ParamsOf<WorkerCalls['volume.expand']>) =>
        this.#change({ volumeId }, { sizeBytes }),
      ),
    );
    channel.handle(
      'volume.claimFence',
      answering('volume.claimFence', (asked) => this.#fence(asked)),
    );
    channel.handle(
      'volume.markPlain',
      answering('volume.markPlain', (asked) => this.#change(asked, { state: 'plain' })),
    );
    channel.handle(
      'volume.delete',
      answering('volume.delete', (asked) => this.#delete(asked)),
    );
    channel.handle(
      'volume.digest',
      answering('volume.digest', () => ({ contentDigest: 'tree-sha256:1', path: '/pool/disk.img' })),
    );
    channel.handle(
      'upload.open',
      answering('upload.open', ({ volumeId, attempt }: { volumeId: string; attempt: number }) => {
        this.slots.set(volumeId, attempt);
        return {};
      }),
    );
    channel.handle(
      'attempt.cancel',
      answering('attempt.cancel', (asked) => this.#cancel(asked)),
    );
    channel.handle(
      'source.version',
      answering('source.version', () => this.version()),
    );
    channel.handle(
      'doctor',
      answering('doctor', () => ({ findings: [], faults: [] })),
    );
    channel.handle(
      'doctor.remove',
      answering('doctor.remove', () => ({})),
    );
  }

  #inventory(): Inventory {
    const list = (attempts: Map<string, number>) => [...attempts].map(([volumeId, attempt]) => ({ volumeId, attempt }));
    return {
      volumes: [...this.volumes.values()],
      running: list(this.running),
      waiting: list(this.slots),
      received: list(this.received).map((one) => ({ ...one, bytes: 1 })),
      undelivered: list(this.undelivered),
      pools: this.pools,
    };
  }

  #reserve(asked: ParamsOf<WorkerCalls['volume.reserve']>): Held {
    const { volumeId, ...rest } = asked;
    if (!isVolumeId(volumeId)) throw new Fault('InvalidRequest', volumeId);
    const there = this.volumes.get(volumeId);
    if (there !== undefined) return there;
    const createdAt = new Date().toISOString();
    const made: Held = { pool: 'default', ...rest, volumeId, schemaVersion: 1, state: 'empty', fence: 0, createdAt };
    this.volumes.set(volumeId, made);
    return made;
  }

  #fence({ volumeId, attempt }: { volumeId: string; attempt: number }): Held {
    const there = this.volumes.get(volumeId);
    if (there?.state === 'complete') return there;
    if (there !== undefined && there.fence > attempt) throw new Fault('StaleAttempt', `attempt ${there.fence}`);
    this.running.delete(volumeId);
    return this.#change({ volumeId }, { state: 'populating', fence: attempt });
  }

  #change({ volumeId }: { volumeId: string }, change: Partial<Held>): Held {
    const there = this.volumes.get(volumeId);
    if (there === undefined) throw new Fault('NotFound', volumeId);
    const changed = { ...there, ...change };
    this.volumes.set(volumeId, changed);
    return changed;
  }

  #delete({ volumeId }: { volumeId: string }): Record<string, never> {
    this.volumes.delete(volumeId);
    this.running.delete(volumeId);
    this.slots.delete(volumeId);
    return {};
  }

  #cancel({ volumeId }: { volumeId: string; attempt: number }): Record<string, never> {
    this.running.delete(volumeId);
    this.slots.delete(volumeId);
    return {};
  }
}

export function faultOf(code: FaultCode): FaultRecord {
  return faultRecord(new Fault(code, 'as the test says'));
}

/** An outcome of an attempt that ended with this fault. */
export function failure(code: FaultCode, bytesFetched = 0) {
  return { ok: false as const, fault: faultOf(code), bytesFetched };
}
