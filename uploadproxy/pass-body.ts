// Passes the body of a request on, piece by piece as it comes, and holds the sender back while the receiver is behind. Unlike a pipeline it leaves
// the request as it is when the receiver fails: it is still to be answered. Unlike an iteration it joins no pieces: those that come
// while a write is under way go out together with the next one, and no byte is copied for it in JavaScript.
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';

/**
 * Resolves when the whole body was handed over and `target` has ended well; stays pending where the request breaks off, whose end is told by its signal.
 * @throws what `target` failed with, or the signal's reason; what the request still brings is not looked at any more
 */
export function passBody(request: IncomingMessage, target: Writable, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onData = (piece: Buffer): void => {
    if (!target.write(piece)) request.pause();
  };
  const onDrain = (): void => void request.resume();
  const onEnd = (): void => void target.end();
  // At once, not when somebody awaits the promise: whoever answers the request early decides then whether it flows.
  const letGo = (): void => {
    request.off('data', onData).off('end', onEnd);
    target.off('drain', onDrain);
    signal.removeEventListener('abort', onAbort);
  };
  const fail = (error: unknown): void => {
    letGo();
    reject(error);
  };
  const onAbort = (): void => fail(signal.reason);
  const onFinish = (): void => {
    letGo();
    resolve();
  };
  request.on('data', onData).once('end', onEnd);
  target.on('drain', onDrain).once('finish', onFinish).once('error', fail);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return promise;
}
