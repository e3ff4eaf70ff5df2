// How much users may store: how large one object may be, and all objects together, which the API keeps in memory. Only users are held to it: what the
// service writes by itself, and deleting, is never refused.
import { Fault } from '../../domain/fault.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { describeObject } from '../store/object-lifecycle.ts';
import type { ApiContext } from './request-context.ts';
import type { ServedKind } from './served-kinds.ts';

/** As etcd's default for one request, on which Kubernetes' clients count. https://etcd.io/docs/v3.5/dev-guide/limit/ */
export const largestObjectBytes = 1_572_864;
/** Part of the budget that is for changes only, so that what is there can be changed, such as cancelled, in a full store. */
const changesPart = 1 / 8;

function sizeOf(object: KubeObject | undefined): number {
  return object === undefined ? 0 : Buffer.byteLength(JSON.stringify(object));
}

/**
 * Refuses what grows beyond the limits. What shrinks, or is being deleted, is always taken.
 * @param stored undefined where the object is to be created
 * @throws Fault TooLarge, Quota
 */
export function requireRoom(
  { store, storeBudgetBytes }: Pick<ApiContext, 'store' | 'storeBudgetBytes'>,
  kind: ServedKind,
  asked: KubeObject,
  stored: KubeObject | undefined,
): void {
  if (stored?.metadata.deletionTimestamp !== undefined) return;
  const [size, before] = [sizeOf(asked), sizeOf(stored)];
  if (size <= before) return;
  const what = describeObject(kind.ref, asked.metadata.name);
  if (size > largestObjectBytes) {
    throw new Fault('TooLarge', `${what} is too large: ${size} bytes; an object may have ${largestObjectBytes}`);
  }
  const limit = stored === undefined ? storeBudgetBytes : storeBudgetBytes * (1 + changesPart);
  if (store.sizeBytes + size - before <= limit) return;
  throw new Fault(
    'Quota',
    `${what} is refused: all objects have ${store.sizeBytes} bytes, of ${storeBudgetBytes} (LONGSHORE_STORE_BUDGET_MIB); it needs ${size - before} more`,
  );
}
