import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { applyConfiguration, noteUpdate } from './field-managers.ts';
import { type ServedKind, servedKinds } from './served-kinds.ts';

const maps = servedKinds.find(({ ref }) => ref === resources.configMaps) as ServedKind; // Safe: config maps are served.

function map(data: Record<string, string>, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', ...metadata }, data };
}

function keys(prefix: string, count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}-${index}`, 'x']));
}

function apply(stored: KubeObject | undefined, asked: KubeObject, manager = 'one'): KubeObject {
  return applyConfiguration(maps, stored, asked, { manager, force: false, part: 'object' });
}

/** How many times as much CPU time the action takes for 32 times as much: about 32 where each part is looked at once, 1024 where it is compared with all. */
function growth(prepare: (count: number) => () => unknown): number {
  const [small, large] = [500, 16_000].map((count) => leastMicroseconds(prepare(count)));
  return (large ?? 0) / (small ?? 0);
}

/** The best of several, since other tests run beside this one. */
function leastMicroseconds(action: () => unknown): number {
  const runs = Array.from({ length: 7 }, () => {
    const began = process.cpuUsage();
    action();
    // Only their sum is exact: how it is shared between them the kernel guesses by its ticks.
    const { user, system } = process.cpuUsage(began);
    return user + system;
  });
  return Math.min(...runs);
}

describe('server-side apply of large objects', () => {
  test('keys that are given up for others cost as much as there are of them, not as much as there are pairs', () => {
    const stored = apply(undefined, map(keys('old', 10_000)));
    expect(apply(stored, map(keys('new', 10_000)))['data']).toEqual(keys('new', 10_000));
    const exchange = (count: number) => {
      const before = apply(undefined, map(keys('old', count)));
      return () => apply(before, map(keys('new', count)));
    };
    expect(growth(exchange)).toBeLessThan(300);
  });

  test('so do finalizers in an update', () => {
    const update = (count: number) => {
      const finalizers = Array.from({ length: count }, (_, index) => `example.com/f-${index}`);
      const stored = map({ a: '1' }, { finalizers });
      const asked = map({ a: '2' }, { finalizers: [...finalizers] });
      return () => noteUpdate(maps, stored, asked, { manager: 'm', part: 'object' });
    };
    expect(growth(update)).toBeLessThan(300);
  });

  test('more than 20,000 fields are refused', () => {
    expect(() => apply(undefined, map(keys('k', 20_001)))).toThrow(expect.objectContaining({ code: 'TooLarge' }));
  });
});

describe('what an apply no longer names', () => {
  test('goes with what lies below it, and empty parents with it, but not the top members', () => {
    const stored = apply(undefined, map({ a: '1' }, { labels: { x: 'y' }, annotations: { p: 'q', r: 's' } }));
    const applied = apply(stored, map({}, { annotations: { p: 'q' } }));
    expect(applied['data']).toEqual({});
    expect(applied.metadata).toMatchObject({ annotations: { p: 'q' } });
    expect(applied.metadata.annotations).not.toHaveProperty('r');
    expect(applied.metadata).not.toHaveProperty('labels');
  });

  test('stays where another manager also has it or something below it', () => {
    const owner = (uid: string, extra = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid, ...extra });
    const first = apply(undefined, map({ a: '1' }, { finalizers: ['f/1', 'f/2'], ownerReferences: [owner('u1')] }));
    const both = apply(first, map({ a: '1' }, { finalizers: ['f/2'], ownerReferences: [owner('u1')] }), 'two');
    const applied = apply(both, map({}));
    expect(applied['data']).toEqual({ a: '1' });
    expect(applied.metadata.finalizers).toEqual(['f/2']);
    expect(applied.metadata.ownerReferences).toEqual([owner('u1')]);
  });

  test('a list key that cannot be read names nothing', () => {
    const managedFields = [
      { manager: 'one', operation: 'Apply', fieldsV1: { 'f:metadata': { 'f:finalizers': { 'v:{': {} } } } },
    ];
    const applied = apply(map({}, { finalizers: ['f/1'], managedFields }), map({ a: '1' }));
    expect(applied.metadata.finalizers).toEqual(['f/1']);
  });
});
