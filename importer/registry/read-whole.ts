// The body of a small answer, read whole within a limit.
import { Fault } from '../../domain/fault.ts';
import type { HttpAnswer } from '../http/http-answer.ts';
import { faultOfHttpError, placeOf } from '../http/http-faults.ts';

/** @throws Fault NotAContainerDisk for a longer one, and those of a connection */
export async function readWhole({ body, url }: HttpAnswer, mostBytes: number, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.byteLength;
      if (bytes > mostBytes) {
        throw new Fault('NotAContainerDisk', `${placeOf(url)} has more than ${mostBytes} bytes, which is too much`);
      }
      parts.push(Buffer.from(piece));
    }
  } catch (error) {
    body.destroy();
    throw faultOfHttpError(error, url, { signal, bodyBegan: true });
  }
  // At most the few megabytes of the limit.
  return Buffer.concat(parts);
}
