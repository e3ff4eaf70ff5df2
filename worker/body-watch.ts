// Notices that the sender of a body is gone or stands still. Its signal aborts then, and only then: not when the body simply ends, and not while we are
// the ones who do not read.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Fault } from '../domain/fault.ts';

export class BodyWatch {
  readonly #abort = new AbortController();
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #timer: NodeJS.Timeout;
  readonly #onClose = () => {
    if (!this.#response.writableFinished) this.#fail('the connection was closed before the answer');
  };
  /** Comes in place of the body of the request. */
  #handed: Socket | undefined;
  #bytesRead: number;
  #movedAt = performance.now();

  constructor(request: IncomingMessage, response: ServerResponse, idleTimeoutMs: number) {
    this.#request = request;
    this.#response = response;
    this.#bytesRead = request.socket.bytesRead;
    response.once('close', this.#onClose);
    this.#timer = setInterval(() => this.#look(idleTimeoutMs), Math.max(10, idleTimeoutMs / 4));
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The body comes on that socket. */
  follow(handed: Socket): void {
    this.#handed = handed;
    [this.#bytesRead, this.#movedAt] = [handed.bytesRead, performance.now()];
  }

  end(): void {
    clearInterval(this.#timer);
    this.#response.off('close', this.#onClose);
  }

  #look(idleTimeoutMs: number): void {
    const now = performance.now();
    const { bytesRead } = this.#handed ?? this.#request.socket;
    if (this.#isOurTurn() || bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#movedAt = now;
    } else if (now - this.#movedAt >= idleTimeoutMs) {
      this.#fail(`no bytes came for ${Math.round(now - this.#movedAt)} ms`);
    }
  }

  #isOurTurn(): boolean {
    const [request, handed] = [this.#request, this.#handed];
    if (handed !== undefined) return handed.isPaused() || handed.readableEnded;
    return request.complete || request.readableLength > 0;
  }

  #fail(detail: string): void {
    this.#abort.abort(new Fault('UploadInterrupted', detail));
  }
}
