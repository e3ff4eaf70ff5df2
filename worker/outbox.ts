// What the worker has to tell the controller for certain: results of attempts, and uploads whose bytes are durable. Each is repeated until the
// controller answers, over however many channels. Kept in memory only: after a restart the records on the pool tell the same.
import type { Static } from 'typebox';
import { toFault } from '../domain/fault.ts';
import type { controllerCalls, Outcome } from '../jobs/channel-protocol.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ChannelClient } from './channel-client.ts';

type Message =
  | { call: 'attempt.result'; params: Static<(typeof controllerCalls)['attempt.result']['params']> }
  | { call: 'upload.received'; params: Static<(typeof controllerCalls)['upload.received']['params']> };

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
    try {
      if (message.call === 'attempt.result') {
        await this.#channel.ask('attempt.result', message.params, this.#stop.signal);
      } else {
        await this.#channel.ask('upload.received', message.params, this.#stop.signal);
      }
    } catch (error) {
      const fault = toFault(error, { signal: this.#stop.signal });
      // The controller has answered and does not want it, or the worker stops: the records on the pool hold what matters.
      const { volumeId, attempt } = message.params;
      this.#logger.info({ err: fault, volumeId, attempt, call: message.call }, 'not taken by the controller');
    }
  }
}
