// What a delete asks for (DeleteOptions in the body or in the query), and the finalizers by which the garbage collector learns of it.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { KubeObject } from '../../domain/object-store.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';
import { badRequest } from './kube-status.ts';
import type { ServedKind } from './served-kinds.ts';

export type Propagation = 'Background' | 'Foreground' | 'Orphan';

export interface DeleteWish {
  readonly propagation: Propagation;
  readonly preconditions: { uid?: string; resourceVersion?: string };
  readonly dryRun: boolean;
}

const DeleteOptions = Compile(
  Type.Object({
    propagationPolicy: Type.Optional(
      Type.Union([Type.Literal('Background'), Type.Literal('Foreground'), Type.Literal('Orphan'), Type.Null()]),
    ),
    orphanDependents: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
    preconditions: Type.Optional(
      Type.Object({ uid: Type.Optional(Type.String()), resourceVersion: Type.Optional(Type.String()) }),
    ),
    dryRun: Type.Optional(Type.Array(Type.String())),
  }),
);

/** Finalizers of Kubernetes' own garbage collector. */
export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

/** @throws Fault MalformedRequest */
export function readDeleteOptions(body: unknown, query: Readonly<Record<string, unknown>>): DeleteWish {
  const given = body ?? {};
  if (!DeleteOptions.Check(given)) throw badRequest('the body of the request is no DeleteOptions');
  const policy = query['propagationPolicy'];
  const asked = given.propagationPolicy ?? (policy === 'Foreground' || policy === 'Orphan' ? policy : undefined);
  return {
    propagation: asked ?? (given.orphanDependents === true ? 'Orphan' : 'Background'),
    preconditions: given.preconditions ?? {},
    dryRun: (given.dryRun ?? []).includes('All') || query['dryRun'] === 'All',
  };
}

/** Adds the finalizer that makes the garbage collector act before the object goes. */
export async function markPropagation(
  store: SqliteStore,
  kind: ServedKind,
  stored: KubeObject,
  wish: DeleteWish,
): Promise<void> {
  if (wish.propagation === 'Background' || stored.metadata.deletionTimestamp !== undefined) return;
  const finalizer = wish.propagation === 'Foreground' ? foregroundFinalizer : orphanFinalizer;
  const finalizers = [...new Set([...(stored.metadata.finalizers ?? []), finalizer])];
  await store.update(kind.ref, { ...stored, metadata: { ...stored.metadata, finalizers } });
}
