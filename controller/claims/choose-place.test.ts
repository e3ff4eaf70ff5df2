import { expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { connectedNode, poolOf } from '../../test/claim-examples.ts';
import type { NodeState } from '../nodes/node-views.ts';
import { choosePlace, type PlaceWish } from './choose-place.ts';

const gib = 1024 ** 3;
const missing = new Fault('PoolMissing', '/pools/slow is not there');

function nodeOf(name: string, pools: Parameters<typeof poolOf>[0][]): NodeState {
  return { ...connectedNode, name, pools: pools.map((pool) => poolOf(pool)) };
}

const nodes = [
  nodeOf('one', [
    { name: 'fast', leftBytes: 10 * gib },
    { name: 'slow', leftBytes: 90 * gib },
  ]),
  nodeOf('two', [
    { name: 'fast', leftBytes: 20 * gib },
    { name: 'slow', leftBytes: 999 * gib, fault: missing },
  ]),
];

const nothing: PlaceWish = { ofClass: undefined, pool: undefined, near: undefined, sizeBytes: gib };

test.each<[string, Partial<PlaceWish>, string]>([
  ['no wish: most room among those that may be written', {}, 'one/slow'],
  ['the pool of the class, on the node where it has most room', { ofClass: 'fast' }, 'two/fast'],
  ['the pool that the claim asks for', { pool: 'fast' }, 'two/fast'],
  ['the pool of the source of a clone', { near: { node: 'one', pool: 'fast' } }, 'one/fast'],
  ['its node, where its pool has no room', { near: { node: 'one', pool: 'fast' }, sizeBytes: 50 * gib }, 'one/slow'],
  [
    'its node, where the class means another pool',
    { near: { node: 'one', pool: 'slow' }, ofClass: 'fast' },
    'one/fast',
  ],
  ['one without room, where none has it: the worker says what is missing', { sizeBytes: 500 * gib }, 'one/slow'],
])('%s', (_what, wish, expected) => {
  const place = choosePlace(nodes, { ...nothing, ...wish });
  if (place === undefined || place instanceof Fault) throw new Error(`no place: ${place?.message}`);
  expect(`${place.node.name}/${place.pool.name}`).toBe(expected);
});

test.each<[string, readonly NodeState[], Partial<PlaceWish>, string | undefined]>([
  ['no nodes', [], {}, undefined],
  ['no pool of that name', nodes, { ofClass: 'none' }, 'NoPoolHere'],
  ['another pool than the class means', nodes, { ofClass: 'fast', pool: 'slow' }, 'NoPoolHere'],
  ['only one that is away', nodes.slice(1), { pool: 'slow' }, 'PoolMissing'],
])('%s: no place', (_what, from, wish, code) => {
  const place = choosePlace(from, { ...nothing, ...wish });
  expect(place instanceof Fault ? place.code : place).toBe(code);
});
