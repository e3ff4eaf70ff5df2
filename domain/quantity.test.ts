import { describe, expect, test } from 'vitest';
import { describeBytes, formatBytes, formatQuantity, parseQuantity, quantityBytes } from './quantity.ts';

describe('a quantity', () => {
  test.each([
    ['0', 0],
    ['10Gi', 10 * 2 ** 30],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['.5Mi', 2 ** 19],
    ['1.Ki', 1024],
    ['1500M', 1_500_000_000],
    ['1E', Number.MAX_SAFE_INTEGER],
    ['8Pi', Number.MAX_SAFE_INTEGER],
    ['4Pi', 2 ** 52],
    ['1e3', 1000],
    ['12E2', 1200],
    ['1.2e-1', 1],
    ['+5k', 5000],
    ['-500m', -1],
    ['500m', 1],
    ['1n', 1],
    ['001Gi', 2 ** 30],
    ['0.1Ki', 103],
    [5_368_709_120, 5_368_709_120],
    [1e21, Number.MAX_SAFE_INTEGER],
    ['1e999999999', Number.MAX_SAFE_INTEGER],
    ['-9e39', -Number.MAX_SAFE_INTEGER],
  ])('%j is %d bytes', (text, bytes) => {
    expect(quantityBytes(text)).toBe(bytes);
  });

  test.each([
    '',
    'Gi',
    'invalid_size',
    '1gi',
    '1ki',
    '1Kib',
    '1 Gi',
    '--1',
    '1e',
    '.',
    '0x10',
    '1e1.5',
    '9'.repeat(129),
  ])('%j is none', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });

  test.each([
    ['1024Mi', '1Gi'],
    ['1536Mi', '1536Mi'],
    ['1.5Gi', '1536Mi'],
    ['1000M', '1G'],
    ['0.5', '500m'],
    ['1500m', '1500m'],
    ['1.00', '1'],
    ['0Gi', '0'],
    ['0.5Ki', '512'],
    ['1e3', '1e3'],
    ['12e4', '120e3'],
    ['-2048Ki', '-2Mi'],
    ['1025', '1025'],
  ])('%s is written %s', (text, canonical) => {
    const quantity = parseQuantity(text);
    expect(quantity === undefined ? undefined : formatQuantity(quantity)).toBe(canonical);
  });

  test('of bytes survives being written and read', () => {
    for (const bytes of [0, 1, 1023, 1024, 2 ** 20, 2 ** 30 + 1, 20e12, Number.MAX_SAFE_INTEGER]) {
      expect(quantityBytes(formatBytes(bytes))).toBe(bytes);
    }
  });
});

test('bytes for people have three digits and a unit', () => {
  const shown = [0, 1023, 1024, 1536, 10 * 2 ** 20, 2 ** 30 - 1, 123.4 * 2 ** 30, 20e12].map(describeBytes);
  expect(shown).toEqual(['0 B', '1023 B', '1.00 KiB', '1.50 KiB', '10.0 MiB', '1.00 GiB', '123 GiB', '18.2 TiB']);
});
