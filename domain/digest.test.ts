import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { blockBytes, blockCount, hashBlock, TreeHasher, zeroLeaf } from './digest.ts';

const specification = readFileSync(fileURLToPath(new URL('../docs/digests.md', import.meta.url)), 'utf8');

function digestOf(content: Buffer): string {
  const hasher = new TreeHasher();
  for (let at = 0; at < content.length; at += blockBytes)
    hasher.addLeaf(hashBlock(content.subarray(at, at + blockBytes)));
  return hasher.finish(content.length);
}

describe('the content digest', () => {
  test('is what docs/digests.md says for its examples', () => {
    const examples: readonly (readonly [string, Buffer])[] = [
      ['nothing (length 0)', Buffer.alloc(0)],
      ['one zero byte', Buffer.alloc(1)],
      ['`abc`', Buffer.from('abc')],
      ['1 MiB of zeros', Buffer.alloc(blockBytes)],
      ['1048577 bytes `a`', Buffer.alloc(blockBytes + 1, 'a')],
    ];
    for (const [name, content] of examples) expect(specification).toContain(`| ${name} | \`${digestOf(content)}\` |`);
    expect(specification).toContain(`| a hole of 2 GiB | \`${new TreeHasher().finish(2 ** 31)}\` |`);
  });

  test('is what the commands of docs/digests.md compute', () => {
    const script = /```bash\n([\s\S]*?)```/.exec(specification)?.[1];
    const directory = mkdtempSync(join(tmpdir(), 'longshore-digest-'));
    try {
      const content = Buffer.concat([Buffer.alloc(blockBytes), Buffer.alloc(blockBytes, 'x'), Buffer.from('tail')]);
      writeFileSync(join(directory, 'disk.img'), content);
      const printed = execFileSync('bash', ['-c', `${script}\ndigest "$0"`, join(directory, 'disk.img')]);
      expect(printed.toString().trim()).toBe(digestOf(content));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('has the hash of 1 MiB of zeros as its constant', () => {
    expect(zeroLeaf()).toEqual(createHash('sha256').update(Buffer.alloc(blockBytes)).digest());
    expect(zeroLeaf()).not.toBe(zeroLeaf());
  });

  test('does not depend on which zeros are holes', () => {
    const content = Buffer.alloc(5 * blockBytes + 10);
    content.write('data', 2 * blockBytes);
    const sparse = new TreeHasher();
    sparse.addZeroLeaves(2);
    sparse.addLeaf(hashBlock(content.subarray(2 * blockBytes, 3 * blockBytes)));
    expect(sparse.leaves).toBe(3);
    expect(sparse.finish(content.length)).toBe(digestOf(content));
  });

  test('counts a partial block of zeros at the end as a leaf of zeros', () => {
    expect(hashBlock(Buffer.alloc(7))).toEqual(zeroLeaf());
    expect(hashBlock(Buffer.alloc(0))).toEqual(zeroLeaf());
  });

  test('tells apart contents that differ only in zeros at the end', () => {
    const digests = [0, 1, 2, blockBytes - 1, blockBytes, blockBytes + 1].map((length) =>
      digestOf(Buffer.alloc(length)),
    );
    expect(new Set(digests).size).toBe(digests.length);
  });

  test('adds runs of zeros longer than its own buffer', () => {
    const runs = new TreeHasher();
    for (const count of [1, 2047, 2048, 2049, 10_000]) runs.addZeroLeaves(count);
    expect(runs.finish(runs.leaves * blockBytes)).toBe(new TreeHasher().finish(16_145 * blockBytes));
  });

  test('refuses what is no leaf, no length or longer than the content', () => {
    expect(() => hashBlock(Buffer.alloc(blockBytes + 1))).toThrow(RangeError);
    expect(() => new TreeHasher().addLeaf(Buffer.alloc(31))).toThrow(RangeError);
    expect(() => new TreeHasher().addZeroLeaves(-1)).toThrow(RangeError);
    expect(() => new TreeHasher().finish(1.5)).toThrow(RangeError);
    const two = new TreeHasher();
    two.addZeroLeaves(2);
    expect(() => two.finish(blockBytes)).toThrow(RangeError);
  });

  test('counts blocks', () => {
    expect([0, 1, blockBytes, blockBytes + 1].map(blockCount)).toEqual([0, 1, 1, 2]);
  });
});
