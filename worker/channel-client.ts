// The worker's end of the channel: dials the controller, says hello, answers its calls, and dials again with growing pauses for as long as
// the worker lives. What is asked while there is no channel waits for the next one.
import { connect, type TLSSocket } from 'node:tls';
import { type Fault, toFault } from '../domain/fault.ts';
import { Channel } from '../jobs/channel.ts';
import {
  type ControllerCalls,
  channelVersion,
  controllerCalls,
  type ParamsOf,
  type Progress,
  type ResultOf,
  type WorkerCalls,
  workerCalls,
} from '../jobs/channel-protocol.ts';
import { controllerName, mustBe, type TlsPair } from '../runtime/certificates.ts';
import { parseAddress } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';

export type WorkerChannel = Channel<ControllerCalls, WorkerCalls>;

export interface ChannelClientOptions {
  /** host:port of the controller. */
  address: string;
  /** Its certificate names the node. */
  tls: TlsPair;
  node: string;
  logger: Logger;
  /** Registers the answers on a new channel. */
  answer(channel: WorkerChannel): void;
}

const connectTimeoutMs = 10_000;
const longestPauseMs = 5_000;

/** True where the channel, and not the controller's answer, is why a call failed: it is to be asked again. */
function isChannelTrouble(fault: Fault): boolean {
  return fault.code === 'ServiceUnreachable' || fault.code === 'TimedOut';
}

export class ChannelClient {
  readonly #options: ChannelClientOptions;
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #channel: WorkerChannel | undefined;
  #next = Promise.withResolvers<WorkerChannel>();

  constructor(options: ChannelClientOptions) {
    this.#options = options;
  }

  /** Begins to dial. @param uploadAddress host:port of this worker's upload server, told with hello */
  start(uploadAddress: string): void {
    this.#ended = this.#keepConnected(uploadAddress);
  }

  get isConnected(): boolean {
    return this.#channel?.isOpen === true;
  }

  /**
   * Asks the controller; again over the next channel where this one ends, until it answers or the signal aborts.
   * @throws Fault what the controller answered, or the signal's reason
   */
  async ask<N extends keyof ControllerCalls>(
    name: N,
    params: ParamsOf<ControllerCalls[N]>,
    signal: AbortSignal,
  ): Promise<ResultOf<ControllerCalls[N]>> {
    for (let tried = 0; ; tried += 1) {
      const channel = await this.#connected(signal);
      try {
        // Safe: the table of the channel gives the same static type, which TypeScript does not see through the generic name.
        return (await channel.call(name, params, { signal })) as ResultOf<ControllerCalls[N]>;
      } catch (error) {
        const fault = toFault(error, { signal });
        if (signal.aborted || !isChannelTrouble(fault)) throw fault;
        await pauseFor(Math.min(longestPauseMs, 100 * 2 ** Math.min(tried, 6)), signal);
      }
    }
  }

  /** Lost without a word where there is no channel. */
  sendProgress(progress: Progress): void {
    this.#channel?.sendProgress(progress);
  }

  /** Ends the channel and the dialling. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#channel?.close();
    await this.#ended;
  }

  async #connected(signal: AbortSignal): Promise<WorkerChannel> {
    if (this.#channel?.isOpen === true) return this.#channel;
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(toFault(signal.reason, { signal }));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([this.#next.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #keepConnected(uploadAddress: string): Promise<void> {
    const { logger, address } = this.#options;
    const signal = this.#stop.signal;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const channel = await this.#dial(uploadAddress);
        failures = 0;
        logger.info({ address }, 'channel to the controller is up');
        const why = await channel.closed;
        if (!signal.aborted) logger.warn({ err: why }, 'channel to the controller ended; dialling again');
      } catch (error) {
        if (!signal.aborted) logger.debug({ err: toFault(error) }, 'controller not reached');
      }
      this.#channel = undefined;
      await pauseFor(Math.min(longestPauseMs, 100 * 2 ** Math.min(failures, 6)), signal).catch(() => undefined);
    }
  }

  /** @returns the channel after its hello was answered */
  async #dial(uploadAddress: string): Promise<WorkerChannel> {
    const { node, logger } = this.#options;
    const socket = await this.#connectSocket();
    const channel: WorkerChannel = new Channel({
      socket,
      asks: controllerCalls,
      answers: workerCalls,
      logger,
      lost: 'ServiceUnreachable',
    });
    this.#options.answer(channel);
    try {
      await channel.call('hello', { channelVersion, node, uploadAddress }, { signal: this.#stop.signal });
    } catch (error) {
      channel.close();
      throw error;
    }
    this.#channel = channel;
    this.#next.resolve(channel);
    void channel.closed.then(() => this.#forget(channel));
    return channel;
  }

  #forget(channel: WorkerChannel): void {
    if (this.#channel === channel) this.#channel = undefined;
    this.#next = Promise.withResolvers<WorkerChannel>();
  }

  async #connectSocket(): Promise<TLSSocket> {
    const { key, cert, ca } = this.#options.tls;
    const { host, port } = parseAddress(this.#options.address);
    const opened = Promise.withResolvers<void>();
    const socket = connect(
      { host, port, key, cert, ca, minVersion: 'TLSv1.3', checkServerIdentity: mustBe(controllerName) },
      opened.resolve,
    );
    const limit = AbortSignal.any([AbortSignal.timeout(connectTimeoutMs), this.#stop.signal]);
    const onAbort = () => opened.reject(toFault(limit.reason, { otherwise: 'ServiceUnreachable' }));
    socket.once('error', opened.reject);
    limit.addEventListener('abort', onAbort, { once: true });
    try {
      await opened.promise;
      return socket;
    } catch (error) {
      socket.destroy();
      throw toFault(error, { otherwise: 'ServiceUnreachable' });
    } finally {
      socket.off('error', opened.reject);
      limit.removeEventListener('abort', onAbort);
    }
  }
}
