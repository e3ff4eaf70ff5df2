// The webhook of claims that ask by a label to be completed from the profile of their class; kube-apiserver sends no others. As CDI's `pvc-mutate`:
// https://github.com/kubevirt/containerized-data-importer/blob/main/doc/pvc-mutating-webhook-rendering.md
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import { TypedObjectReference } from '../domain/kube-shapes.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import { completeLabelledClaim } from '../runtime/labelled-claim.ts';
import type { Asked, Verdict } from './admission-review.ts';

const texts = Type.Optional(Type.Record(Type.String(), Type.String()));

/** As far as it is read; the rest is kube-apiserver's. */
const ClaimShape = Compile(
  Type.Object({
    metadata: Type.Object({ namespace: Type.Optional(Type.String()), labels: texts, annotations: texts }),
    spec: Type.Object({
      accessModes: Type.Optional(Type.Array(Type.String())),
      storageClassName: Type.Optional(Type.String()),
      volumeMode: Type.Optional(Type.String()),
      resources: Type.Optional(Type.Object({ requests: texts })),
      dataSourceRef: Type.Optional(TypedObjectReference),
    }),
  }),
);

/** What the claim gets, as a patch of its spec; refused with 400 and CDI's words where that cannot be told. @throws Fault MalformedRequest */
export async function completeAsked(
  { isCreate, object }: Asked,
  store: Pick<ObjectStore, 'get' | 'list'>,
  provisioning: Provisioning,
): Promise<Verdict> {
  if (!isCreate) return { allowed: true };
  if (!ClaimShape.Check(object)) throw new Fault('MalformedRequest', 'the object is no PersistentVolumeClaim');
  const completed = await completeLabelledClaim(object, store, provisioning);
  if ('problem' in completed) {
    const { message } = completed.problem;
    return { allowed: false, status: { code: 400, reason: 'BadRequest', message } };
  }
  const before = new Map<string, unknown>(Object.entries(object.spec));
  const changed = Object.entries(completed.spec).filter(
    ([member, value]) => JSON.stringify(value) !== JSON.stringify(before.get(member)),
  );
  if (changed.length === 0) return { allowed: true };
  return { allowed: true, patch: changed.map(([member, value]) => ({ op: 'add', path: `/spec/${member}`, value })) };
}
