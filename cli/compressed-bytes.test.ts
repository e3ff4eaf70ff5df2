// The compressor of uploads against the native zstd.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import { compressedBytes } from './compressed-bytes.ts';

const piece = randomBytes(1024 * 1024);

async function* disk(): AsyncGenerator<Buffer> {
  for (let index = 0; index < 24; index += 1) yield index % 3 === 0 ? piece : Buffer.alloc(piece.byteLength);
}

async function sha256Of(bytes: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest('hex');
}

describe('compressed bytes of an upload', () => {
  test('are what the native zstd unpacks again, and fewer', async () => {
    const zstd = spawn('zstd', ['-dcq'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let sent = 0;
    const feeding = pipeline(
      compressedBytes(disk()),
      async function* count(chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          sent += chunk.byteLength;
          yield chunk;
        }
      },
      zstd.stdin,
    );
    const [unpacked] = await Promise.all([sha256Of(zstd.stdout), feeding]);
    expect(unpacked).toBe(await sha256Of(disk()));
    expect(sent).toBeLessThan(9 * piece.byteLength);
  });

  test('end with the failure of the file', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield piece;
      throw new Error('the disk is gone');
    }
    await expect(sha256Of(compressedBytes(broken()))).rejects.toThrow('the disk is gone');
  });
});
