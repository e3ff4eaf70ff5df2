import { describe, expect, test } from 'vitest';
import { annotations } from './annotations.ts';
import { canClone } from './can-clone.ts';
import {
  type AccessReview,
  type CloneAuthorization,
  cloneAuthorization,
  cloneRefusal,
  needsNoClone,
} from './clone-authorization.ts';
import type { DataVolume, DataVolumeSource } from './data-volume.ts';

function dataVolumeOf(source: DataVolumeSource, metadata: Partial<DataVolume['metadata']> = {}): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name: 'target', namespace: 'mine', ...metadata },
    spec: { source, storage: {} },
  };
}

function authorize(source: DataVolumeSource): CloneAuthorization {
  const authorization = cloneAuthorization(dataVolumeOf(source));
  if (authorization === undefined) throw new Error('no clone');
  return authorization;
}

/** Holds the rights that are listed as `group/resource/subresource@namespace:name`. */
function holder(...rights: string[]): (review: AccessReview) => boolean {
  return ({ group, resource, subresource = '', namespace, name = '' }) =>
    rights.includes(`${group}/${resource}/${subresource}@${namespace}:${name}`);
}

const isCloneAllowed = (needed: CloneAuthorization, holds: (review: AccessReview) => boolean): boolean =>
  canClone(needed, holds).allowed;

const claim = { pvc: { namespace: 'theirs', name: 'golden' } };
const snapshot = { snapshot: { namespace: 'theirs', name: 'golden' } };

describe('a clone', () => {
  test('within a namespace needs no right', () => {
    expect(isCloneAllowed(authorize({ pvc: { namespace: 'mine', name: 'golden' } }), () => false)).toBe(true);
    expect(authorize({ pvc: { namespace: '', name: 'golden' } }).sourceNamespace).toBe('mine');
  });

  test('from another namespace needs datavolumes/source of that claim, or pods, there', () => {
    const authorization = authorize(claim);
    expect(isCloneAllowed(authorization, () => false)).toBe(false);
    expect(isCloneAllowed(authorization, holder('cdi.kubevirt.io/datavolumes/source@theirs:golden'))).toBe(true);
    expect(isCloneAllowed(authorization, holder('/pods/@theirs:'))).toBe(true);
    expect(
      isCloneAllowed(authorization, holder('cdi.kubevirt.io/datavolumes/source@mine:golden', '/pods/@mine:')),
    ).toBe(false);
  });

  test('of a snapshot wants a second right besides pods', () => {
    const authorization = authorize(snapshot);
    expect(authorization.kind).toBe('snapshot');
    expect(isCloneAllowed(authorization, holder('/pods/@theirs:'))).toBe(false);
    expect(isCloneAllowed(authorization, holder('/pods/@theirs:', '/pvcs/@theirs:'))).toBe(true);
    expect(isCloneAllowed(authorization, holder('cdi.kubevirt.io/datavolumes/source@theirs:golden'))).toBe(true);
  });

  test("that is refused names user and namespace in CDI's words", () => {
    expect(cloneRefusal(authorize(claim), 'eve', 'see it')).toEqual({
      type: 'FieldValueInvalid',
      field: 'spec.source.PVC.namespace',
      message: 'User eve has insufficient permissions in clone source namespace theirs: no right to see it',
    });
  });

  test('is nothing but a clone, and not one that is being deleted', () => {
    expect(cloneAuthorization(dataVolumeOf({ upload: {} }))).toBeUndefined();
    expect(cloneAuthorization(dataVolumeOf(claim, { deletionTimestamp: '2026-01-01T00:00:00Z' }))).toBeUndefined();
  });

  test('needs none where the claim is said to be filled already', () => {
    expect(needsNoClone(dataVolumeOf(claim))).toBe(false);
    expect(needsNoClone(dataVolumeOf(claim, { annotations: { [annotations.prePopulated]: 'x' } }))).toBe(true);
    expect(needsNoClone(dataVolumeOf(claim, { annotations: { [annotations.checkStaticVolume]: '' } }))).toBe(true);
  });
});
