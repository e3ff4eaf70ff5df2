// The strict look at an image that lies in the staging, unpacked and whole: the same as on its way in, and now all of it can be read.
import { open } from 'node:fs/promises';
import { Fault } from '../domain/fault.ts';
import type { DecoderSurroundings } from './decode/decompressor.ts';
import type { ReadAt } from './image/inspection.ts';
import { type ImageProbe, isInOrder, probeImage } from './image/probe-image.ts';
import { PeekedStream } from './peeked-stream.ts';

/** As much as the probe may want of the beginning. */
const beginningBytes = 2_097_152;

/**
 * @param fileBytes how many bytes were written there; fewer now is CorruptImage
 * @throws Fault of the probe
 */
export async function probeStagedFile(
  path: string,
  fileBytes: number,
  claimBytes: number,
  surroundings: DecoderSurroundings,
): Promise<ImageProbe> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size !== fileBytes) throw new Fault('CorruptImage', `the received file has ${size} bytes and had ${fileBytes}`);
    const readAt: ReadAt = async (offset, length) => {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await file.read(buffer, 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const beginning = async function* (): AsyncGenerator<Buffer> {
      yield await readAt(0, Math.min(size, beginningBytes));
    };
    const stream = new PeekedStream(beginning());
    const source = {
      head: (bytes: number) => stream.head(bytes),
      pieces: () => stream.pieces(),
      totalBytes: size,
      ranges: { readAt },
    };
    const probe = await probeImage(source, claimBytes, surroundings);
    if (isInOrder(probe)) throw new Fault('CorruptImage', 'the received file is no image that needs conversion');
    return probe;
  } finally {
    await file.close();
  }
}
