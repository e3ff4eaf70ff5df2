import { expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import { claimUid, volumeOf } from '../../test/claim-examples.ts';
import { report } from '../../test/scripted-worker.ts';
import { parseAttemptState } from '../claims/attempt-state.ts';
import { rebuiltObjects } from './rebuilt-objects.ts';

const complete = { state: 'complete' as const, fence: 3, committedAt: '2026-01-01T00:00:00Z', report };

test('a complete volume gives a claim with its uid, size, mode and report, and a DataVolume without a source', () => {
  const { claim, dataVolume } = rebuiltObjects(volumeOf({ ...complete, mode: 'Block', sectorBytes: 4096 }));
  expect(claim.metadata).toMatchObject({ namespace: 'ns', name: 'disk', uid: claimUid });
  expect(claim.spec).toMatchObject({ volumeMode: 'Block', resources: { requests: { storage: '1Mi' } } });
  const told = claim.metadata.annotations ?? {};
  expect(told).toMatchObject({ [annotations.sectorSize]: '4096', [annotations.contentType]: 'kubevirt' });
  expect(parseAttemptState(told[annotations.attempt])).toMatchObject({ attempt: 3, stage: 'succeeded', report });
  expect(dataVolume).toMatchObject({ metadata: { name: 'disk' }, spec: {} });
});

test('files stay files, and a claim that nobody fills has no DataVolume', () => {
  const files = { ...report, files: { entries: 1, bytes: 1 } };
  const archive = rebuiltObjects(volumeOf({ ...complete, report: files })).claim;
  expect(archive.metadata.annotations?.[annotations.contentType]).toBe('archive');
  const plain = rebuiltObjects(volumeOf({ state: 'plain' }));
  expect([plain.dataVolume, plain.claim.metadata.annotations]).toEqual([undefined, {}]);
});

test.each([
  ['holds nothing', { state: 'populating' as const }, 'VolumeNotFilled'],
  ['is of another claim', { ...complete, owner: { namespace: 'ns', name: 'disk', uid: 'other' } }, 'VolumeCorrupt'],
  ['has no namespace', { ...complete, owner: { namespace: '../x', name: 'disk', uid: claimUid } }, 'VolumeCorrupt'],
  ['has no name', { ...complete, owner: { namespace: 'ns', name: 'A_b', uid: claimUid } }, 'VolumeCorrupt'],
])('nothing is made of one that %s', (_what, more, code) => {
  expect(() => rebuiltObjects(volumeOf(more))).toThrow(expect.objectContaining({ code }));
});
