// Compresses an upload on its way with zstd, for slow networks and disks that are mostly holes. The frame carries a checksum of the content, so bytes
// that are lost or changed on the way are refused by the service. Only our own file is compressed here; nothing foreign is ever decoded in this process.
import { pipeline } from 'node:stream/promises';

/** Fast enough not to be what a network waits for. */
const compressionLevel = 3;

export async function* compressedBytes(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  // Loaded here: a native module, and few uploads want it.
  const { default: zstd } = await import('zstd-napi');
  const compressor = new zstd.CompressStream({ compressionLevel, checksumFlag: true });
  const feeding = pipeline(bytes, compressor);
  feeding.catch(() => undefined); // awaited below; a failure also ends the reading of the compressor
  try {
    // Safe: a stream without an encoding gives buffers.
    for await (const chunk of compressor as AsyncIterable<Buffer>) yield chunk;
  } finally {
    compressor.destroy();
  }
  await feeding;
}
