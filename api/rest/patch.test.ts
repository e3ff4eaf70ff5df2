import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { applyPatch } from './patch.ts';
import { type ServedKind, servedKinds } from './served-kinds.ts';

const maps = servedKinds.find(({ ref }) => ref === resources.configMaps) as ServedKind; // Safe: config maps are served.
const stored: KubeObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a' },
  data: { a: 'x'.repeat(1_000), 'b/c': 'y' },
};

function patched(body: unknown[]): unknown {
  return applyPatch(maps, stored, { form: 'json', body });
}

describe('JSON patches that would grow without end', () => {
  test('copies of copies are refused before memory is used up', () => {
    const doubling = Array.from({ length: 60 }, (_, index) => ({
      op: 'copy',
      from: '/data',
      path: `/data/again-${index}`,
    }));
    const began = process.memoryUsage().rss;
    expect(() => patched(doubling)).toThrow(expect.objectContaining({ code: 'TooLarge' }));
    expect(process.memoryUsage().rss - began).toBeLessThan(200 * 1024 * 1024);
    expect(stored['data']).not.toHaveProperty('again-0');
  });

  test('more than 10,000 operations are refused, 10,000 are done', () => {
    const add = { op: 'add', path: '/data/n', value: 'n' };
    expect(() => patched(Array.from({ length: 10_001 }, () => add))).toThrow(
      expect.objectContaining({ code: 'TooLarge' }),
    );
    expect(patched(Array.from({ length: 10_000 }, () => add))).toMatchObject({ data: { n: 'n' } });
  });

  test('a copy of a member with a slash in its name, and a copy from nowhere', () => {
    expect(patched([{ op: 'copy', from: '/data/b~1c', path: '/data/d' }])).toMatchObject({ data: { d: 'y' } });
    expect(() => patched([{ op: 'copy', from: '/data/none', path: '/data/d' }])).toThrow(
      expect.objectContaining({ code: 'InvalidRequest' }),
    );
    expect(() => patched([null])).toThrow(expect.objectContaining({ code: 'InvalidRequest' }));
  });
});

test.each([
  [{ op: 'test', path: '/data/a', value: 'other' }, 'operation 1 (test /data/a): '],
  [{ op: 'explode', path: '/data/a' }, 'operation 1 (explode /data/a): '],
  [7, 'operation 1: '],
])('a JSON patch that fails names the operation: %j', (operation, said) => {
  const first = { op: 'add', path: '/data/n', value: 'n' };
  expect(() => patched([first, operation])).toThrow(said);
});
