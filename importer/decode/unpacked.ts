// A stream as it is inside of its compression, piece by piece, by a native child.
import { Fault, toFault } from '../../domain/fault.ts';
import type { Compression } from '../image/content-kind.ts';
import { type DecoderSurroundings, feed, startDecompressor } from './decompressor.ts';

/**
 * Ends when the child has ended well. What failed first, its source or itself, is thrown. Where the rest is not wanted the child is ended; who does not want it
 * ends the source too, by the signal.
 * @param source whose pieces may be overwritten once the next one is asked for
 */
export async function* unpacked(
  source: AsyncIterable<Buffer>,
  compression: Compression,
  surroundings: DecoderSurroundings,
): AsyncGenerator<Buffer, void, undefined> {
  const child = startDecompressor(compression, surroundings);
  if (child.stdin === null || child.stdout === null) throw new Fault('Internal', 'the decompressor has no pipes');
  const { signal } = surroundings;
  const feeding = feed(source, child.stdin, child, signal).then(
    () => undefined,
    (error: unknown) => toFault(error, { signal }),
  );
  try {
    // Safe: no encoding is set on the pipe.
    yield* child.stdout as AsyncIterable<Buffer>;
    const failure = await feeding;
    if (failure !== undefined) throw failure;
  } catch (error) {
    throw (await feeding) ?? error;
  } finally {
    await child.kill(new Fault('Cancelled', 'the rest is not wanted'));
  }
}
