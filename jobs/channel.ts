// One end of the channel between controller and worker: typed calls both ways over one TLS socket. Every value is checked against the schemas of
// channel-protocol.ts when it leaves and when it comes; faults arrive as faults; a peer that died without a word is noticed within 20 s.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import rpc, { type CancellationToken, type MessageConnection } from 'vscode-jsonrpc/node.js';
import { Fault, faultFromRecord, faultRecord, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import type { Licence } from '../runtime/licence.ts';
import type { Logger } from '../runtime/logger.ts';
import { FaultShape, Progress, progressNotification } from './channel-protocol.ts';
import { FrameGuard } from './frame-guard.ts';

type CallTable = Readonly<Record<string, { readonly params: TSchema; readonly result: TSchema }>>;
type Params<T extends CallTable, N extends keyof T> = Static<T[N]['params']>;
type Result<T extends CallTable, N extends keyof T> = Static<T[N]['result']>;

export interface ChannelOptions<Asks extends CallTable, Answers extends CallTable> {
  socket: Duplex;
  /** Calls that this end makes. */
  asks: Asks;
  /** Calls that this end answers. */
  answers: Answers;
  logger: Logger;
  /** While it is not held nothing is asked and nothing is answered: the channel ends, and the peer looks for who holds it now. */
  licence?: Pick<Licence, 'assertHeld'> | undefined;
  /** Fault code of a call whose peer went away. Default NodeLost. */
  lost?: FaultCode;
  callTimeoutMs?: number;
  keepaliveMs?: number;
  largestMessageBytes?: number;
}

const ping = '$ping';
const validators = new WeakMap<TSchema, Validator>();
const faultCheck = Compile(FaultShape);
const progressCheck = Compile(Progress);

function validatorOf(schema: TSchema): Validator {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  const made = Compile(schema);
  validators.set(schema, made);
  return made;
}

function checked(schema: TSchema, value: unknown, what: string): unknown {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return value;
  const first = validator.Errors(value)[0];
  throw new Fault('MalformedRequest', `${what}: ${first?.instancePath ?? ''} ${first?.message ?? 'is not valid'}`);
}

export class Channel<Asks extends CallTable, Answers extends CallTable> {
  /** Resolves, never rejects, when the channel is at its end; tells why. */
  readonly closed: Promise<Fault>;
  readonly #connection: MessageConnection;
  readonly #options: ChannelOptions<Asks, Answers>;
  readonly #ended = Promise.withResolvers<Fault>();
  readonly #waiting = new Set<(why: Fault) => void>();
  /** Calls of the peer that are worked on. */
  readonly #answering = new Set<AbortController>();
  readonly #keepalive: NodeJS.Timeout;
  #open = true;

  constructor(options: ChannelOptions<Asks, Answers>) {
    this.#options = options;
    this.closed = this.#ended.promise;
    // A message is written in two pieces; the second must not wait for the peer to acknowledge the first.
    if (options.socket instanceof Socket) options.socket.setNoDelay(true);
    const guard = new FrameGuard(options.largestMessageBytes ?? 64 * 1024 * 1024);
    const writer = new rpc.StreamMessageWriter(options.socket);
    const write = writer.write.bind(writer);
    // The library lets a failed answer become an unhandled rejection; here it is the end of the channel, which fails all calls.
    writer.write = (message) => write(message).catch((error: unknown) => this.#end(this.#lostFault(error)));
    this.#connection = rpc.createMessageConnection(new rpc.StreamMessageReader(guard), writer);
    this.#connection.onRequest(ping, () => true);
    this.#connection.onError(([error]) => this.#end(error instanceof Fault ? error : this.#lostFault(error)));
    this.#connection.onClose(() => this.#end(this.#lostFault()));
    void pipeline(options.socket, guard).then(
      () => this.#end(this.#lostFault()),
      (error: unknown) => this.#end(error instanceof Fault ? error : this.#lostFault(error)),
    );
    const everyMs = options.keepaliveMs ?? 5_000;
    // Whoever was heard is alive. One end asks then for both, as its question is what the other hears.
    this.#keepalive = setInterval(() => {
      if (!guard.takeHeard()) void this.#checkPeer(everyMs * 2);
    }, everyMs);
    // Handlers are registered in the same turn as the channel is made; messages are only read in a later one.
    queueMicrotask(() => this.#connection.listen());
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Answers a call of the peer. Register in the same turn in which the channel is made. The signal aborts when the peer waits no longer, or the channel
   * ends; an answer that need not be given then may stop.
   */
  handle<N extends keyof Answers & string>(
    name: N,
    answer: (params: Params<Answers, N>, signal: AbortSignal) => Promise<Result<Answers, N>>,
  ): void {
    const schemas = this.#options.answers[name];
    if (schemas === undefined) throw new Fault('Internal', `the protocol has no call ${name}`);
    this.#connection.onRequest(name, async (given: unknown, token: CancellationToken) => {
      const answering = new AbortController();
      const listening = token.onCancellationRequested(() => {
        answering.abort(new Fault('Cancelled', 'who asked waits no longer'));
      });
      this.#answering.add(answering);
      try {
        // Safe: the schema that the type is derived from has just been checked.
        const params = checked(schemas.params, given, name) as Params<Answers, N>;
        this.#requireLicence();
        return checked(schemas.result, await answer(params, answering.signal), `answer to ${name}`);
      } catch (error) {
        const fault = toFault(error);
        if (fault.code === 'Internal') this.#options.logger.error({ err: error, call: name }, 'call failed');
        return new rpc.ResponseError(rpc.ErrorCodes.InternalError, fault.message, faultRecord(fault));
      } finally {
        listening.dispose();
        this.#answering.delete(answering);
      }
    });
  }

  /**
   * Asks the peer. Ending the wait tells the peer, which may have done it all the same: calls are idempotent.
   * @throws Fault what the peer answered, TimedOut, Interrupted (no licence), the signal's reason, or `lost` (NodeLost) where the channel ended
   */
  async call<N extends keyof Asks & string>(
    name: N,
    params: Params<Asks, N>,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<Result<Asks, N>> {
    const schemas = this.#options.asks[name];
    if (schemas === undefined) throw new Fault('Internal', `the protocol has no call ${name}`);
    const sent = checked(schemas.params, params, name);
    const timeoutMs = options.timeoutMs ?? this.#options.callTimeoutMs ?? 30_000;
    // A channel that was made in this turn begins to listen at the end of it; it cannot ask before.
    await Promise.resolve();
    this.#requireLicence();
    const answer = await this.#ask(name, sent, timeoutMs, options.signal);
    // Safe: checked against the schema that the type is derived from.
    return checked(schemas.result, answer, `answer to ${name}`) as Result<Asks, N>;
  }

  /** Tells progress; lost without a word where the channel is at its end. */
  sendProgress(progress: Progress): void {
    if (!this.#open) return;
    this.#connection.sendNotification(progressNotification, progress).catch((error: unknown) => {
      this.#options.logger.debug({ err: error }, 'progress not sent');
    });
  }

  onProgress(listener: (progress: Progress) => void): void {
    this.#connection.onNotification(progressNotification, (given: unknown) => {
      if (progressCheck.Check(given)) listener(given);
    });
  }

  /** Ends the channel at once; calls that wait fail. */
  close(): void {
    this.#end(this.#lostFault());
  }

  async #ask(name: string, params: unknown, timeoutMs: number, signal: AbortSignal | undefined): Promise<unknown> {
    if (!this.#open) throw this.#lostFault();
    const ended = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => ended.reject(new Fault('TimedOut', `no answer to ${name} in ${timeoutMs} ms`)),
      timeoutMs,
    );
    const onAbort = () => ended.reject(toFault(signal?.reason, { ...(signal === undefined ? {} : { signal }) }));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(ended.reject);
    if (signal?.aborted === true) onAbort();
    const calling = new rpc.CancellationTokenSource();
    try {
      return await Promise.race([this.#connection.sendRequest(name, params, calling.token), ended.promise]);
    } catch (error) {
      // Tells the peer where it still works on it; one that has answered does not care.
      if (this.#open) calling.cancel();
      throw this.#faultOf(error);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(ended.reject);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #faultOf(error: unknown): Fault {
    if (error instanceof Fault) return error;
    if (error instanceof rpc.ResponseError) {
      if (faultCheck.Check(error.data)) return faultFromRecord(error.data);
      if (error.code === rpc.ErrorCodes.MethodNotFound)
        return new Fault('NewerVersion', error.message, { cause: error });
    }
    return this.#lostFault(error);
  }

  #lostFault(cause?: unknown): Fault {
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    return new Fault(this.#options.lost ?? 'NodeLost', `the channel ended${why}`, { cause });
  }

  #requireLicence(): void {
    try {
      this.#options.licence?.assertHeld();
    } catch (error) {
      const fault = toFault(error);
      this.#end(fault);
      throw fault;
    }
  }

  async #checkPeer(withinMs: number): Promise<void> {
    try {
      await this.#ask(ping, {}, withinMs, undefined);
    } catch (error) {
      this.#end(this.#lostFault(error));
    }
  }

  #end(why: Fault): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#keepalive);
    this.#ended.resolve(why);
    for (const reject of this.#waiting) reject(why);
    for (const answering of this.#answering) answering.abort(why);
    this.#connection.dispose();
    this.#options.socket.destroy();
  }
}
