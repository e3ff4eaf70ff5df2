// The controller where Kubernetes makes, binds and deletes volumes through the CSI driver. The test plays Kubernetes' part; the worker is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault, faultRecord } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { volumeIdOf } from '../../domain/volume-record.ts';
import { claimOf, connectedNode, factsOf } from '../../test/claim-examples.ts';
import { ControllerFixture, key } from '../../test/controller-fixture.ts';
import type { ScriptedWorker } from '../../test/scripted-worker.ts';
import { firstAttempt, formatAttemptState } from './attempt-state.ts';
import type { ClaimFacts } from './claim-actions.ts';
import { reconcileClaim } from './reconcile-claim.ts';

const blank = { source: { blank: {} } };

describe('a claim that Kubernetes provisions', () => {
  const waiting = { [annotations.attempt]: formatAttemptState(firstAttempt('import')) };
  const away = { ...connectedNode, connected: false, known: false, settled: false };
  const actions = (claim: Claim, facts: Partial<ClaimFacts>) =>
    reconcileClaim(claim, factsOf({ provisionedBy: 'csi', volume: undefined, ...facts }));
  const selected = (claim: Claim, facts: Partial<ClaimFacts>) => {
    const patches = actions(claim, facts).filter((action) => action.kind === 'patch');
    return Object.assign({}, ...patches.map(({ patch }) => patch.annotations))[annotations.selectedNode] as unknown;
  };
  const named = (more: Partial<Claim> = {}) => claimOf({ ...waiting, [annotations.selectedNode]: 'one' }, more);
  const kinds = (claim: Claim, facts: Partial<ClaimFacts>) => actions(claim, facts).map(({ kind }) => kind);

  test('gets the name of the node that was chosen for it, and no volume from us', () => {
    expect(selected(claimOf(waiting), {})).toBe('one');
    expect(kinds(claimOf(waiting), {})).toEqual(['patch']);
  });

  test('is left alone while it waits for its first consumer', () => {
    expect(selected(claimOf(waiting), { node: undefined, waitsForConsumer: true })).toBeUndefined();
  });

  test('keeps its node while that may come back, and is planned anew when it is lost', () => {
    expect(selected(named(), { node: { ...away, lostInMs: 5_000 } })).toBeUndefined();
    expect(actions(named(), { node: { ...away, lostInMs: 5_000 } })).toContainEqual({ kind: 'again', afterMs: 5_000 });
    expect(selected(named(), { node: { ...away, lostInMs: 0 } })).toBeNull();
  });

  test('that is bound keeps its node for ever', () => {
    const bound = named({ spec: { ...claimOf().spec, volumeName: 'pvc-1' } });
    expect(selected(bound, { node: { ...away, lostInMs: 0 } })).toBeUndefined();
  });

  test('has its attempt ended when it is deleted, and nothing else', () => {
    const deleted = named({ metadata: { ...named().metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
    expect(kinds(deleted, { live: { attempt: 1, doing: 'running' } })).toEqual(['cancelAttempt', 'dequeue']);
    expect(kinds(deleted, {})).toEqual([]);
  });
});

describe('a controller on a cluster', () => {
  let fixture: ControllerFixture;
  let worker: ScriptedWorker;
  beforeEach(async () => {
    const provisioning = { by: 'csi', driver: 'csi.longshore.dev' } as const;
    fixture = await ControllerFixture.start({ provisioning, sweepMs: 300 });
    worker = await fixture.worker();
  });
  afterEach(() => fixture.close());

  const hasNode = (claim: Claim | undefined) => claim?.metadata.annotations?.[annotations.selectedNode] !== undefined;

  async function provision(claim: Claim): Promise<void> {
    const { uid = '', name } = claim.metadata;
    const volumeId = volumeIdOf(uid);
    await worker.provision({ volumeId, owner: { namespace: 'default', name, uid }, sizeBytes: 1_048_576 });
    await vi.waitFor(async () => {
      const now = await fixture.store.get(resources.claims, key(name));
      if (now === undefined) throw new Error('the claim is gone');
      const spec = { ...now.spec, volumeName: volumeId };
      const bound = await fixture.store.update(resources.claims, { ...now, spec });
      await fixture.store.updateStatus(resources.claims, { ...bound, status: { phase: 'Bound' } });
    });
  }

  test('fills the volume that Kubernetes made for a DataVolume', async () => {
    await fixture.dataVolume('disk', blank);
    const claim = await fixture.until(resources.claims, key('disk'), hasNode);
    if (claim === undefined) throw new Error('no claim');
    expect(claim.metadata.finalizers).toBeUndefined();
    expect(claim.metadata.annotations).toMatchObject({
      [annotations.usePopulator]: 'false',
      [annotations.selectedNode]: 'local',
    });
    await provision(claim);
    await fixture.phase('disk', 'Succeeded');
    expect(worker.calls).not.toContain('volume.reserve');
    const filled = await fixture.store.get(resources.claims, key('disk'));
    expect(filled?.metadata.annotations?.[annotations.podPhase]).toBe('Succeeded');
  });

  test('tells the driver which claims are to be filled', async () => {
    const asked = async (claim: Claim) => {
      const { uid = '', name } = claim.metadata;
      return worker.channel?.call('claim.isFilled', { owner: { namespace: 'default', name, uid } });
    };
    await fixture.dataVolume('disk', blank);
    const claim = await fixture.until(resources.claims, key('disk'), (found) => found !== undefined);
    if (claim === undefined) throw new Error('no claim');
    expect(await asked(claim)).toEqual({ filled: true });
    expect(await asked(await fixture.claim('own'))).toEqual({ filled: false });
    const upload = await fixture.claim('upload', { [annotations.uploadTarget]: '' });
    expect(await asked(upload)).toEqual({ filled: true });
    const gone = { ...upload, metadata: { ...upload.metadata, uid: '00000000-0000-4000-8000-000000000009' } };
    await expect(asked(gone)).rejects.toMatchObject({ code: 'NotFound' });
  });

  test('tells that a node has no room for the volume until one has', async () => {
    await fixture.dataVolume('disk', blank);
    const claim = await fixture.until(resources.claims, key('disk'), hasNode);
    if (claim === undefined) throw new Error('no claim');
    const volumeId = volumeIdOf(claim.metadata.uid ?? '');
    const fault = faultRecord(new Fault('VolumeTooLarge', '9 bytes were asked; the largest volume has 1'));
    await worker.channel?.call('volume.refused', { volumeId, fault });
    const boundOf = (found: DataVolume | undefined) => found?.status?.conditions?.find(({ type }) => type === 'Bound');
    const told = await fixture.until(
      resources.dataVolumes,
      key('disk'),
      (found) => boundOf(found)?.reason === 'PoolFull',
    );
    expect(boundOf(told)?.message).toContain('node local: 9 bytes were asked');
    expect(told?.status?.phase).toBe('Pending');
    await provision(claim);
    await fixture.phase('disk', 'Succeeded');
  });

  test('takes no late word of a node without room for the volume that another has made since', async () => {
    await fixture.dataVolume('disk', blank);
    const claim = await fixture.until(resources.claims, key('disk'), hasNode);
    if (claim === undefined) throw new Error('no claim');
    const volumeId = volumeIdOf(claim.metadata.uid ?? '');
    const fault = faultRecord(new Fault('NoSpace', '1 byte is free'));
    const full = await fixture.worker('full');
    worker.refuse = (call) => {
      if (call === 'volume.claimFence') throw new Fault('PoolReadOnly', 'not yet');
    };
    await provision(claim);
    await full.channel?.call('volume.refused', { volumeId, fault });
    worker.refuse = () => undefined;
    await fixture.phase('disk', 'Succeeded');
  });

  test('deletes no volume itself', async () => {
    await fixture.dataVolume('disk', blank);
    const claim = await fixture.until(resources.claims, key('disk'), hasNode);
    if (claim === undefined) throw new Error('no claim');
    await provision(claim);
    await fixture.phase('disk', 'Succeeded');
    await fixture.store.delete(resources.dataVolumes, key('disk'));
    await fixture.until(resources.claims, key('disk'), (found) => found === undefined);
    const volumeId = volumeIdOf(claim.metadata.uid ?? '');
    await worker.channel?.call('volume.gone', { volumeId });
    expect(worker.calls).not.toContain('volume.delete');
  });
});
