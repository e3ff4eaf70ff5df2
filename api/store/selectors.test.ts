import { describe, expect, test } from 'vitest';
import { matchesFields, parseFieldSelector, parseLabelSelector } from './selectors.ts';

describe('label selectors', () => {
  const cases: [string, Record<string, string>, boolean][] = [
    ['a=1,b in (x, y),!c', { a: '1', b: 'y' }, true],
    ['a=1,b in (x, y),!c', { a: '1', b: 'z' }, false],
    ['b notin (x,y)', { b: 'x' }, false],
    ['b notin (x,y),a', { a: '' }, true],
    ['a!=1, b', { a: '2', b: '' }, true],
    [' ', { a: '2' }, true],
    ['c', {}, false],
  ];
  test.each(cases)('%s of %o: %s', (selector, labels, holds) => {
    expect(parseLabelSelector(selector)(labels)).toBe(holds);
  });

  test('what cannot be read, and what is longer than 8192 characters, is refused', () => {
    for (const selector of ['a=(', 'b in (x', 'a=1)', 'a=1,,b', 'a=1,', `a=${'1'.repeat(8_192)}`]) {
      expect(() => parseLabelSelector(selector)).toThrow(expect.objectContaining({ code: 'MalformedRequest' }));
    }
  });

  test('thousands of commas without a parenthesis cost nothing', () => {
    const began = performance.now();
    for (let round = 0; round < 20; round += 1) parseFieldSelector(','.repeat(8_192));
    expect(performance.now() - began).toBeLessThan(200);
  });
});

test('field selectors', () => {
  const object = { metadata: { name: 'a' } };
  expect(matchesFields(object, parseFieldSelector('metadata.name=a,metadata.namespace!=b'))).toBe(true);
  expect(matchesFields(object, parseFieldSelector('metadata.name==b'))).toBe(false);
  expect(matchesFields(object, parseFieldSelector('metadata.name==a'))).toBe(true);
  expect(() => parseFieldSelector('=')).toThrow(expect.objectContaining({ code: 'MalformedRequest' }));
});
