import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { contentKindOf } from './content-kind.ts';
import { zstdContentBytes } from './zstd-frame.ts';

const disk = Buffer.alloc(1_048_576, 'disk');
const packedBy = (program: string, ...args: string[]) =>
  execFileSync(program, args, { input: disk, maxBuffer: 2 * disk.byteLength });

function skippable(nibble: number, length: number): Buffer {
  const frame = Buffer.alloc(8 + length, 0xaa);
  frame.writeUInt32LE(0x184d2a50 + nibble, 0);
  frame.writeUInt32LE(length, 4);
  return frame;
}

function lzma(change: (head: Buffer) => unknown): Buffer {
  const head = Buffer.alloc(4096);
  head.writeUInt8(0x5d, 0);
  head.writeUInt32LE(8_388_608, 1);
  head.writeBigUInt64LE(0xffffffffffffffffn, 5);
  change(head);
  return head;
}

describe('zstd', () => {
  const frame = packedBy('zstd', '-qc', `--stream-size=${disk.byteLength}`);

  test.each([
    ['one empty skippable frame', skippable(0, 0)],
    ['one that any program may write', skippable(15, 100)],
    ['several', Buffer.concat([skippable(3, 4), skippable(0, 4), skippable(7, 1000)])],
  ])('is known behind %s, and so is the length of its content', (_what, before) => {
    const head = Buffer.concat([before, frame]);
    expect(contentKindOf(head, true)).toEqual({ kind: 'compressed', compression: 'zst' });
    expect(zstdContentBytes(head)).toBe(disk.byteLength);
  });

  test.each([
    ['lie there alone', skippable(0, 4)],
    ['reach beyond what is seen', skippable(0, 100_000).subarray(0, 65_536)],
    ['end within a header', Buffer.concat([skippable(0, 4), skippable(0, 4).subarray(0, 6)])],
  ])('tells no length where skippable frames %s', (_what, head) => {
    expect(contentKindOf(head, true)).toEqual({ kind: 'compressed', compression: 'zst' });
    expect(zstdContentBytes(head)).toBeUndefined();
  });
});

describe('what no part of the service can read is refused by its name', () => {
  const headed = (text: string) => Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(4096)]);
  test.each<[string, Buffer]>([
    ['lzma', packedBy('xz', '--format=lzma', '-c')],
    ['lzma', packedBy('xz', '--format=lzma', '-0', '-c')],
    ['lzma', lzma((head) => head.writeBigUInt64LE(1_048_576n, 5))],
    ['parallels', headed('WithoutFreeSpace')],
    ['parallels', headed('WithouFreSpacExt')],
    ['luks', headed('LUKS\xba\xbe\0\x02')],
  ])('%s', (format, head) => {
    expect(() => contentKindOf(head, false)).toThrow(
      expect.objectContaining({ code: 'UnsupportedFormat', facts: { format } }),
    );
  });
});

test.each<[string, Buffer]>([
  ['a dictionary of an odd size', lzma((head) => head.writeUInt32LE(8_388_609, 1))],
  ['no dictionary', lzma((head) => head.writeUInt32LE(0, 1))],
  ['a length that no file has', lzma((head) => head.writeBigUInt64LE(1n << 60n, 5))],
  ['a range coder that begins with another byte', lzma((head) => head.writeUInt8(1, 13))],
  [
    'three bytes of a skippable frame behind another first one',
    Buffer.concat([Buffer.from('\x61\x2a\x4d\x18', 'latin1'), disk]),
  ],
])('a disk that looks like compressed content but for %s is raw', (_what, head) => {
  expect(contentKindOf(head, false)).toEqual({ kind: 'image', format: 'raw' });
});
