// A raw disk has no length of its own: that it was cut shows only in a partition table that reaches beyond its end. It is taken, as the table may be what is
// wrong, and flagged in the report.
import { Readable } from 'node:stream';
import { crc32, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TransferReport } from '../../domain/volume-record.ts';
import { receiveUpload } from '../../importer/receive-upload.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const sizeBytes = 4 * mib;
let bench: ImportBench;
let server: HostileServer;

beforeAll(async () => {
  [bench, server] = await Promise.all([ImportBench.make(), HostileServer.start()]);
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
});

/** One partition from 1 MiB to the end. */
function withMbr(): Buffer {
  const disk = Buffer.alloc(sizeBytes, 7);
  disk.fill(0, 0, 512).writeUInt16LE(0xaa55, 510);
  disk.writeUInt8(0x83, 446 + 4);
  disk.writeUInt32LE(mib / 512, 446 + 8);
  disk.writeUInt32LE((sizeBytes - mib) / 512, 446 + 12);
  return disk;
}

function withGpt(sectorBytes: number): Buffer {
  const disk = Buffer.alloc(sizeBytes, 7);
  disk.fill(0, 0, 512).writeUInt16LE(0xaa55, 510);
  disk.writeUInt8(0xee, 446 + 4);
  const header = disk.subarray(sectorBytes, sectorBytes + 92).fill(0);
  header.write('EFI PART', 'latin1');
  header.writeUInt32LE(0x10000, 8);
  header.writeUInt32LE(92, 12);
  const sectors = BigInt(sizeBytes / sectorBytes);
  const numbers = [1n, sectors - 1n, 34n, sectors - 34n];
  for (const [index, number] of numbers.entries()) header.writeBigUInt64LE(number, 24 + 8 * index);
  header.writeUInt32LE(crc32(header), 16);
  return disk;
}

function changed(disk: Buffer, change: (disk: Buffer) => unknown): Buffer {
  change(disk);
  return disk;
}

const cut = (disk: Buffer): Buffer => disk.subarray(0, disk.length - 512);

async function imported(bytes: Buffer): Promise<TransferReport | undefined> {
  server.set('disk', bytes);
  return (await bench.import(server.url('ranges', 'disk'), sizeBytes)).report;
}

async function uploaded(bytes: Buffer): Promise<TransferReport | undefined> {
  const staging = await bench.staging(sizeBytes);
  const target = { staging, sizeBytes, preallocation: false, declaredBytes: bytes.length };
  const run = receiveUpload(Readable.from([bytes]), target, bench.hooks());
  return (
    await bench.endingOf(
      run.then((result) => (result.kind === 'ready' ? result.report : undefined)),
      staging,
    )
  ).report;
}

describe.each([
  ['MBR', withMbr],
  ['GPT', () => withGpt(512)],
  ['GPT', () => withGpt(4096)],
])('a disk with an %s', (kind, make) => {
  test.each<[string, (disk: Buffer) => Buffer]>([
    ['raw', (disk) => disk],
    ['raw.gz', (disk) => gzipSync(disk)],
  ])('as %s is flagged where it is cut, and only there', async (format, pack) => {
    const warning = `the partition table (${kind}) reaches to byte ${sizeBytes}, the image ends at byte ${sizeBytes - 512}: it may have been cut`;
    for (const bring of [imported, uploaded]) {
      expect(await bring(pack(cut(make())))).toMatchObject({ format, warnings: [warning] });
      const whole = await bring(pack(make()));
      expect(whole?.format).toBe(format);
      expect(whole?.warnings ?? []).toEqual([]);
    }
  });
});

test.each<[string, () => Buffer]>([
  ['the boot sector of a file system', () => changed(withMbr(), (disk) => disk.fill(0xfa, 440, 462))],
  ['a GPT whose sum is another', () => changed(withGpt(512), (disk) => disk.writeUInt8(9, 512 + 60))],
  ['no signature', () => changed(withMbr(), (disk) => disk.writeUInt16LE(0, 510))],
])('%s tells nothing of a disk that is cut', async (_what, make) => {
  const report = await imported(cut(make()));
  expect(report?.format).toBe('raw');
  expect(report?.warnings ?? []).toEqual([]);
});
