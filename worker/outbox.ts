// What the worker has to tell the controller for certain: results of attempts, uploads whose bytes are durable, and uploads that failed. Each is repeated
// until the controller answers, over however many channels, also where it could not take it for the moment. Kept in memory only: after a restart the records on the pool tell the same.
import type { Static } from 'typebox';
import { type FaultRecord, toFault } from '../domain/fault.ts';
import type { controllerCalls, Outcome } from '../jobs/channel-protocol.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import type { ChannelClient } from './channel-client.ts';

type Message =
  | { call: 'attempt.result'; params: Static<(typeof controllerCalls)['attempt.result']['params']> }
  | { call: 'upload.received'; params: Static<(typeof controllerCalls)['upload.received']['params']> }
  | { call: 'upload.failed'; params: Static<(typeof controllerCalls)['upload.failed']['params']> };

const longestPauseMs = 5_000;

export interface AttemptKey {
  volumeId: string;
  attempt: number;
}

export class Outbox {
  readonly #channel: ChannelClient;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  readonly #pending = new Map<string, Promise<void>>();
  readonly #messages = new Map<string, Message>();

  constructor(channel: ChannelClient, logger: Logger) {
    this.#channel = channel;
    this.#logger = logger;
  }

  /** How an attempt ended. A later result of the same attempt takes the place of one that is not delivered yet. */
  result(key: AttemptKey, outcome: Outcome): void {
    this.#post({ call: 'attempt.result', params: { ...key, outcome } });
  }

  /** The bytes of an upload are durable and wait for their conversion. */
  received(key: AttemptKey, bytes: number): void {
    this.#post({ call: 'upload.received', params: { ...key, bytes } });
  }

  /** An upload failed, and the slot waits for the next. */
  uploadFailed(key: AttemptKey, fault: FaultRecord): void {
    this.#post({ call: 'upload.failed', params: { ...key, fault } });
  }

  /** Attempts whose result the controller has not answered yet. */
  undelivered(): AttemptKey[] {
    return [...this.#messages.values()]
      .filter(({ call }) => call === 'attempt.result')
      .map(({ params: { volumeId, attempt } }) => ({ volumeId, attempt }));
  }

  /** Resolves when everything so far was answered. */
  async delivered(): Promise<void> {
    await Promise.all(this.#pending.values());
  }

  /** Gives what is left up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.delivered();
  }

  #post(message: Message): void {
    const name = `${message.call} ${message.params.volumeId}.${message.params.attempt}`;
    this.#messages.set(name, message);
    if (!this.#pending.has(name)) this.#pending.set(name, this.#deliver(name));
  }

  async #deliver(name: string): Promise<void> {
    for (let message = this.#messages.get(name); message !== undefined; message = this.#messages.get(name)) {
      await this.#send(message);
      if (this.#messages.get(name) === message) this.#messages.delete(name);
    }
    this.#pending.delete(name);
  }

  async #send(message: Message): Promise<void> {
    const { signal } = this.#stop;
    try {
      for (let tried = 0; !(await this.#isTaken(message)); tried += 1) {
        await pauseFor(Math.min(longestPauseMs, 100 * 2 ** Math.min(tried, 6)), signal);
      }
    } catch (error) {
      const fault = toFault(error, { signal });
      // The controller has answered and does not want it, or the worker stops: the records on the pool hold what matters.
      const { volumeId, attempt } = message.params;
      this.#logger.info({ err: fault, volumeId, attempt, call: message.call }, 'not taken by the controller');
    }
  }
  /** @returns false where the controller could not take it for the moment. @throws Fault where it does not want it */
  async #isTaken(message: Message): Promise<boolean> {
    const { signal } = this.#stop;
    try {
      if (message.call === 'attempt.result') await this.#channel.ask(message.call, message.params, signal);
      else if (message.call === 'upload.received') await this.#channel.ask(message.call, message.params, signal);
      else await this.#channel.ask(message.call, message.params, signal);
      return true;
    } catch (error) {
      const fault = toFault(error, { signal });
      if (signal.aborted || !fault.retryable) throw fault;
      return false;
    }
  }
}
