// Where a new volume goes: node and pool, by request, by the place of the source that it is cloned from, by free room. Pure.
import { Fault } from '../../domain/fault.ts';
import type { NodePool, NodeState } from '../nodes/node-views.ts';

export interface PlaceWish {
  /** Pools that the storage class means; undefined: any. */
  readonly ofClass: string | undefined;
  /** Pool that the claim asks for, or that was chosen for it before. */
  readonly pool: string | undefined;
  /** Where the source of a clone lies: there its blocks can be shared. */
  readonly near: { readonly node: string; readonly pool: string } | undefined;
  readonly sizeBytes: number;
}

export type Place = { readonly node: NodeState; readonly pool: NodePool };

/**
 * Among pools with room the nearest to the source; then the one with most room. Where none has room it is the same without asking for room: the worker says
 * what is missing.
 * @param nodes that may be chosen
 * @returns undefined where there are no nodes; the Fault where they have no such pool, or none that may be written
 */
export function choosePlace(nodes: readonly NodeState[], wish: PlaceWish): Place | Fault | undefined {
  if (nodes.length === 0) return undefined;
  const { ofClass, pool: asked } = wish;
  if (asked !== undefined && ofClass !== undefined && asked !== ofClass) {
    return new Fault('NoPoolHere', `the claim asks for pool ${asked}, its storage class means pool ${ofClass}`);
  }
  const name = asked ?? ofClass;
  const places = nodes.flatMap((node) => node.pools.map((pool) => ({ node, pool })));
  const named = places.filter(({ pool }) => name === undefined || pool.name === name);
  const writable = named.filter(({ pool }) => pool.fault === undefined);
  const [best] = writable.toSorted((one, other) => compare(one, other, wish));
  return best ?? faultOf(named, name, nodes);
}

function compare(one: Place, other: Place, { near, sizeBytes }: PlaceWish): number {
  const hasRoom = ({ pool }: Place) => Number(pool.leftBytes >= sizeBytes && pool.largestVolumeBytes >= sizeBytes);
  const nearness = ({ node, pool }: Place) =>
    near === undefined || node.name !== near.node ? 0 : pool.name === near.pool ? 2 : 1;
  // Where blocks cannot be shared for want of room, a copy now is worth more than a wait.
  return hasRoom(other) - hasRoom(one) || nearness(other) - nearness(one) || other.pool.leftBytes - one.pool.leftBytes;
}

function faultOf(named: readonly Place[], name: string | undefined, nodes: readonly NodeState[]): Fault {
  const known = named.find(({ pool }) => pool.fault !== undefined)?.pool.fault;
  if (known !== undefined) return known;
  const where = nodes.length === 1 ? `node ${nodes[0]?.name ?? ''}` : `any of ${nodes.length} nodes`;
  return new Fault('NoPoolHere', name === undefined ? `${where}: no pool` : `no pool ${name} on ${where}`);
}
