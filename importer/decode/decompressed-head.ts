// The first bytes of what is inside of compressed content, from its compressed beginning alone: bounded in what it takes and in what it gives.
import { Fault } from '../../domain/fault.ts';
import type { Compression } from '../image/content-kind.ts';
import { type DecoderSurroundings, startDecompressor } from './decompressor.ts';

export interface DecompressedHead {
  bytes: Buffer;
  /** True where the compressed content has no more than this inside. */
  whole: boolean;
}

/**
 * @param compressed beginning of the compressed content
 * @param limitBytes most that is decompressed
 * @param complete true where `compressed` is all there is
 * @throws Fault CorruptCompression where it is damaged so early, DecoderMemory
 */
export async function decompressedHead(
  compression: Compression,
  compressed: Buffer,
  limitBytes: number,
  complete: boolean,
  surroundings: DecoderSurroundings,
): Promise<DecompressedHead> {
  const child = startDecompressor(compression, surroundings, { threads: false });
  if (child.stdin === null || child.stdout === null) throw new Fault('Internal', 'the decompressor has no pipes');
  child.stdin.end(compressed);
  const parts: Buffer[] = [];
  let bytes = 0;
  // Safe: no encoding is set on the pipe.
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    parts.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > limitBytes) break;
  }
  const enough = bytes > limitBytes;
  if (enough) await child.kill(new Fault('Cancelled', 'the head is long enough'));
  const failure = enough ? undefined : await child.done.then(() => undefined, faultOf);
  // The end of a beginning is always missing; only when everything is there, or nothing could be read, is that a failure.
  if (failure !== undefined && (complete || failure.code !== 'CorruptCompression')) throw failure;
  return { bytes: Buffer.concat(parts).subarray(0, limitBytes), whole: complete && !enough };
}

function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error;
  throw error;
}
