import { describe, expect, test } from 'vitest';
import { formatChecksum, parseChecksum } from './checksum.ts';

const hex = (length: number): string => 'aB'.repeat(length / 2);

describe('a checksum', () => {
  test.each([
    ['md5', 32],
    ['sha1', 40],
    ['sha256', 64],
    ['sha512', 128],
  ] as const)('of %s is taken with %i digits, trimmed and in lower case', (algorithm, length) => {
    const parsed = parseChecksum(`  ${algorithm.toUpperCase()} : ${hex(length)} `);
    expect(parsed).toEqual({ checksum: { algorithm, hex: hex(length).toLowerCase() } });
    if ('checksum' in parsed) expect(formatChecksum(parsed.checksum)).toBe(`${algorithm}:${hex(length).toLowerCase()}`);
  });

  test.each([
    ['Abc', "invalid checksum format: expected 'algorithm:hash', got 'Abc'"],
    ['', "invalid checksum format: expected 'algorithm:hash', got ''"],
    ['sha256: ', 'checksum hash value cannot be empty'],
    ['crc32:12345678', "unsupported hash algorithm 'crc32': supported algorithms are: md5, sha1, sha256, sha512"],
    ['toString:12', "unsupported hash algorithm 'tostring': supported algorithms are: md5, sha1, sha256, sha512"],
    ['sha256:abc', 'invalid sha256 hash length: expected 64 hex characters, got 3'],
    [`md5:${'g'.repeat(32)}`, 'checksum hash is not valid hexadecimal'],
    [`md5:${'0'.repeat(31)}:`, 'checksum hash is not valid hexadecimal'],
  ])('%j is refused', (text, problem) => {
    expect(parseChecksum(text)).toEqual({ problem });
  });
});
