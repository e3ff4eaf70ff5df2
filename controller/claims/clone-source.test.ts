// When a clone may begin: one row for each thing that can be in its way, in the order in which they are told.
import { describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault, faultRecord } from '../../domain/fault.ts';
import { claimOf, claimUid, volumeId, volumeOf } from '../../test/claim-examples.ts';
import { type AttemptState, firstAttempt, formatAttemptState } from './attempt-state.ts';
import { type CloneFacts, cloneSource } from './clone-source.ts';

const owner = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', name: 'disk', uid: 'dv', controller: true };

function dataVolumeOf(phase: string, told: Record<string, string> = {}): DataVolume {
  return {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', spec: {}, status: { phase } },
    metadata: { namespace: 'ns', name: 'disk', uid: 'dv', annotations: told },
  };
}

const placed = claimOf({ [annotations.selectedNode]: 'one' });
const owned = { ...placed, metadata: { ...placed.metadata, ownerReferences: [owner] } };
const target = { ...claimOf(), metadata: { namespace: 'ns', name: 'copy', uid: 'copy' } };

function facts(more: Partial<CloneFacts> = {}): CloneFacts {
  return {
    ...{ claim: target, dataVolume: undefined, sizeBytes: 1_048_576, source: { namespace: 'ns', name: 'disk' } },
    ...{ sourceClaim: placed, sourceDataVolume: undefined, sourceVolume: volumeOf({ state: 'complete' }) },
    ...more,
  };
}

const failedAttempt: AttemptState = {
  ...firstAttempt('import'),
  stage: 'failed',
  fault: faultRecord(new Fault('NotADiskImage', 'http://secret.example is HTML')),
};

const elsewhere = { source: { namespace: 'other', name: 'disk' } };

describe('a clone', () => {
  test.each<[string, Partial<CloneFacts>]>([
    ['whose source nobody fills but is complete', {}],
    ['whose source has succeeded', { sourceClaim: owned, sourceDataVolume: dataVolumeOf('Succeeded') }],
    ['that is larger', { sizeBytes: 2_097_152 }],
    [
      'from another namespace whose requester the API has named',
      { ...elsewhere, dataVolume: dataVolumeOf('', { [annotations.requester]: 'eve' }) },
    ],
    ['that was placed on the same node', { claim: claimOf({ [annotations.selectedNode]: 'one' }) }],
  ])('may begin %s', (_what, more) => {
    expect(cloneSource(facts(more))).toEqual({ ready: true, volumeId, node: 'one', pool: 'default' });
  });

  test.each<[string, Partial<CloneFacts>, string, string]>([
    ['from another namespace and nobody asked', elsewhere, 'CloneForbidden', 'other/disk'],
    [
      '… even where its source does not exist',
      { ...elsewhere, sourceClaim: undefined },
      'CloneForbidden',
      'other/disk',
    ],
    ['without its source', { sourceClaim: undefined }, 'SourceNotReady', "The source pvc disk doesn't exist"],
    [
      'whose source is being deleted',
      { sourceClaim: { ...placed, metadata: { ...placed.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } } },
      ...(['SourceNotReady', "The source pvc disk doesn't exist"] as const),
    ],
    [
      'whose source is being filled',
      { sourceClaim: owned, sourceDataVolume: dataVolumeOf('ImportInProgress') },
      'SourceNotReady',
      'not populated',
    ],
    [
      'whose source has failed',
      { sourceClaim: owned, sourceDataVolume: dataVolumeOf('Failed') },
      'SourceFailed',
      'ns/disk: its DataVolume is Failed',
    ],
    [
      'whose source has failed without a DataVolume',
      { sourceClaim: claimOf({ [annotations.attempt]: formatAttemptState(failedAttempt) }) },
      'SourceFailed',
      'ns/disk: NotADiskImage, This is not a disk image.',
    ],
    ['whose source has no node', { sourceClaim: claimOf() }, 'SourceNotReady', 'has not been seen'],
    ['whose source’s worker is away', { sourceVolume: undefined }, 'SourceNotReady', 'has not been seen'],
    ['of a volume that is half filled', { sourceVolume: volumeOf() }, 'SourceNotReady', 'is populating'],
    ['of a user’s own files', { sourceVolume: volumeOf({ state: 'plain' }) }, 'SourceNotReady', 'is plain'],
    [
      'that was placed elsewhere',
      { claim: claimOf({ [annotations.selectedNode]: 'two' }) },
      'SourceNotReady',
      'on node one, the clone on node two',
    ],
    ['that is smaller', { sizeBytes: 1_048_575 }, 'ImageTooLarge', 'target is smaller than the source ns/disk'],
  ])('may not begin %s', (_what, more, code, detail) => {
    const found = cloneSource(facts(more));
    expect(found.ready ? found : [found.fault.code, found.fault.detail]).toEqual([
      code,
      expect.stringContaining(detail),
    ]);
  });

  test('names the volume by the uid of the source’s claim, never by its name', () => {
    expect(cloneSource(facts())).toMatchObject({ volumeId: `pvc-${claimUid}` });
  });
});
