import { describe, expect, test } from 'vitest';
import { mergePatch } from './merge-patch.ts';
import type { ServedKind } from './served-kinds.ts';
import { servedKinds } from './served-kinds.ts';
import { strategicMerge } from './strategic-merge.ts';

function kindOf(plural: string): ServedKind {
  const kind = servedKinds.find(({ ref }) => ref.plural === plural);
  if (kind === undefined) throw new Error(`no kind ${plural}`);
  return kind;
}

const claims = kindOf('persistentvolumeclaims');
const merged = (target: object, patch: object): unknown => strategicMerge(claims, target, patch);

describe('strategic merge', () => {
  test('members merge, null removes, plain lists are replaced', () => {
    expect(merged({ spec: { a: 1, b: { c: 2 }, l: [1, 2] } }, { spec: { a: null, b: { d: 3 }, l: [9] } })).toEqual({
      spec: { b: { c: 2, d: 3 }, l: [9] },
    });
  });

  test('conditions merge by type, and one is deleted by directive', () => {
    const target = {
      status: {
        conditions: [
          { type: 'A', status: 'False' },
          { type: 'B', status: 'True' },
        ],
      },
    };
    const patch = {
      status: {
        conditions: [
          { type: 'A', status: 'True' },
          { type: 'B', $patch: 'delete' },
          { type: 'C', status: 'Unknown' },
        ],
        '$setElementOrder/conditions': [{ type: 'A' }, { type: 'C' }],
      },
    };
    expect(merged(target, patch)).toEqual({
      status: {
        conditions: [
          { type: 'A', status: 'True' },
          { type: 'C', status: 'Unknown' },
        ],
      },
    });
  });

  test('finalizers are a set, from which a directive takes', () => {
    const target = { metadata: { finalizers: ['a', 'b'] } };
    expect(merged(target, { metadata: { finalizers: ['b', 'c'] } })).toEqual({
      metadata: { finalizers: ['a', 'b', 'c'] },
    });
    const patch = { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } };
    expect(merged(target, patch)).toEqual({ metadata: { finalizers: ['b'] } });
  });

  test('a member is replaced whole, and others are kept by name only, where directives say so', () => {
    expect(merged({ spec: { a: 1, b: 2 } }, { spec: { $patch: 'replace', c: 3 } })).toEqual({ spec: { c: 3 } });
    expect(merged({ spec: { a: 1, b: 2 } }, { spec: { $retainKeys: ['b', 'c'], c: 3 } })).toEqual({
      spec: { b: 2, c: 3 },
    });
  });

  test('an item without its key is refused', () => {
    expect(() => merged({ status: {} }, { status: { conditions: [{ status: 'True' }] } })).toThrow(/merge key: type/);
  });
});

describe('merge patch of RFC 7396', () => {
  test('the examples of the appendix', () => {
    const examples: [unknown, unknown, unknown][] = [
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
      [{ a: 'b' }, { a: null }, {}],
      [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
      [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
      [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [
        ['a', 'b'],
        ['c', 'd'],
        ['c', 'd'],
      ],
      [{ a: 'b' }, ['c'], ['c']],
      [{ a: 'foo' }, null, null],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [[1, 2], { a: 'b', c: null }, { a: 'b' }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ];
    for (const [target, patch, result] of examples) expect(mergePatch(target, patch)).toEqual(result);
  });
});
