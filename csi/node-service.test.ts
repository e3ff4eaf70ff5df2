// The node service by a client, as far as nothing is mounted.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import type { VolumeRecord } from '../domain/volume-record.ts';
import {
  CsiFixture,
  capability,
  completeVolume,
  emptyVolume,
  mib,
  publishRequest,
  topologyKey,
} from '../test/csi-fixture.ts';
import { populatingVolume } from '../test/temporary-pool.ts';

describe('what is asked before anything is mounted', () => {
  test('NodeGetInfo tells the node and where its volumes can be used', async () => {
    await using csi = await CsiFixture.start();
    expect(await csi.node('NodeGetInfo', {})).toMatchObject({
      nodeId: 'node-1',
      maxVolumesPerNode: '0',
      accessibleTopology: { segments: { [topologyKey]: 'node-1' } },
    });
  });

  test.each<[string, string, object, status]>([
    ['NodeStageVolume', 'no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['NodeStageVolume', 'no path', { stagingTargetPath: '' }, status.INVALID_ARGUMENT],
    ['NodeStageVolume', 'no capability', { volumeCapability: null }, status.INVALID_ARGUMENT],
    [
      'NodeStageVolume',
      'another capability',
      { volumeCapability: capability('MULTI_NODE_MULTI_WRITER') },
      status.INVALID_ARGUMENT,
    ],
    ['NodeStageVolume', 'an unknown volume', { volumeId: 'none' }, status.NOT_FOUND],
    ['NodeUnstageVolume', 'no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['NodeUnstageVolume', 'no path', { stagingTargetPath: '' }, status.INVALID_ARGUMENT],
    ['NodePublishVolume', 'no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['NodePublishVolume', 'no path', { targetPath: '' }, status.INVALID_ARGUMENT],
    ['NodePublishVolume', 'a path that depends', { targetPath: 'pods/target' }, status.INVALID_ARGUMENT],
    ['NodePublishVolume', 'a path with ..', { targetPath: '/tmp/../target' }, status.INVALID_ARGUMENT],
    ['NodePublishVolume', 'the root', { targetPath: '/' }, status.INVALID_ARGUMENT],
    [
      'NodePublishVolume',
      'a path in a directory that is not there',
      { targetPath: '/no/such/target' },
      status.INVALID_ARGUMENT,
    ],
    ['NodePublishVolume', 'no capability', { volumeCapability: null }, status.INVALID_ARGUMENT],
    [
      'NodePublishVolume',
      'a block device of what is a directory',
      { volumeCapability: { block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } } },
      status.INVALID_ARGUMENT,
    ],
    ['NodePublishVolume', 'an unknown volume', { volumeId: 'none' }, status.NOT_FOUND],
    ['NodeUnpublishVolume', 'no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['NodeUnpublishVolume', 'no path', { targetPath: '' }, status.INVALID_ARGUMENT],
    ['NodeUnpublishVolume', 'a path that depends', { targetPath: 'target' }, status.INVALID_ARGUMENT],
    ['NodeGetVolumeStats', 'no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['NodeGetVolumeStats', 'no path', { volumePath: '' }, status.INVALID_ARGUMENT],
    ['NodeGetVolumeStats', 'an unknown volume', { volumeId: 'none' }, status.NOT_FOUND],
    ['NodeGetVolumeStats', 'a path where it is not', { volumePath: '/tmp' }, status.NOT_FOUND],
    ['NodeExpandVolume', 'no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['NodeExpandVolume', 'a path where it is not', { volumePath: '/tmp' }, status.NOT_FOUND],
  ])(
    '%s with %s has the right code, mounts nothing and leaves the volume as it is',
    async (method, _what, wrong, code) => {
      await using csi = await CsiFixture.start();
      const volume = await emptyVolume(csi);
      const target = join(await csi.targets(), 'target');
      const request = { ...publishRequest(volume, target), volumePath: target, ...wrong };
      await expect(csi.node(method, request)).rejects.toMatchObject({ code });
      expect(csi.pool.get(volume.volumeId)).toEqual(volume);
      expect(await csi.mounts()).toEqual([]);
      expect(await readdir(await csi.targets())).toEqual([]);
    },
  );

  test('a volume that is being filled, or whose claim somebody fills, is not staged and not published', async () => {
    await using csi = await CsiFixture.start({ whoFills: async () => 'somebody' });
    const volumes = [(await emptyVolume(csi)).volumeId, await populatingVolume(csi.pool, mib)];
    for (const volumeId of volumes) {
      const state = csi.pool.get(volumeId)?.state;
      const target = join(await csi.targets(), 'target');
      for (const method of ['NodeStageVolume', 'NodePublishVolume']) {
        await expect(csi.node(method, publishRequest({ volumeId }, target))).rejects.toMatchObject({
          code: status.FAILED_PRECONDITION,
          details: expect.stringMatching(`is not filled yet: claim default/.* is ${state}`),
        });
      }
      expect(csi.pool.get(volumeId)?.state).toBe(state);
    }
    expect(await csi.mounts()).toEqual([]);
    expect(await readdir(await csi.targets())).toEqual([]);
  });

  test('an attempt that takes the volume while the controller is asked keeps it', async () => {
    const taken = async ({ volumeId }: VolumeRecord) => {
      await csi.pool.claimFence(volumeId, { attempt: 1, generation: 1 });
      return 'nobody' as const;
    };
    await using csi: CsiFixture = await CsiFixture.start({ whoFills: taken });
    const volume = await emptyVolume(csi);
    await expect(csi.node('NodeStageVolume', publishRequest(volume, '/x'))).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
    expect(csi.pool.get(volume.volumeId)?.state).toBe('populating');
  });

  test('where the controller cannot be asked an empty volume is UNAVAILABLE and stays empty; a complete one needs no asking', async () => {
    const unreachable = () => Promise.reject(new Fault('ServiceUnreachable', 'no channel'));
    await using csi = await CsiFixture.start({ whoFills: unreachable });
    const volume = await emptyVolume(csi);
    const target = join(await csi.targets(), 'target');
    await expect(csi.node('NodePublishVolume', publishRequest(volume, target))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('The controller cannot be reached'),
    });
    expect(csi.pool.get(volume.volumeId)).toEqual(volume);
    expect(await readdir(await csi.targets())).toEqual([]);
    expect(await csi.node('NodeStageVolume', publishRequest(await completeVolume(csi), target))).toEqual({});
  });

  test('a caller that gives up, or whose deadline passes, ends the question; the next is asked anew', async () => {
    const asked: AbortSignal[] = [];
    const whoFills = (_volume: VolumeRecord, signal: AbortSignal) => {
      asked.push(signal);
      if (asked.length > 2) return Promise.resolve('nobody' as const);
      return new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await using csi = await CsiFixture.start({ whoFills });
    const volume = await emptyVolume(csi);
    const request = publishRequest(volume, '/x');
    const given = csi.client.begin('csi.v1.Node', 'NodeStageVolume', request);
    await expect.poll(() => asked.length).toBe(1);
    given.cancel();
    await expect(given.reply).rejects.toMatchObject({ code: status.CANCELLED });
    await expect.poll(() => asked[0]?.reason).toMatchObject({ code: 'Cancelled' });
    await expect(csi.client.call('csi.v1.Node', 'NodeStageVolume', request, 100)).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    await expect.poll(() => asked[1]?.aborted).toBe(true);
    expect(csi.pool.get(volume.volumeId)?.state).toBe('empty');
    expect(await csi.node('NodeStageVolume', request)).toEqual({});
    expect(csi.pool.get(volume.volumeId)?.state).toBe('plain');
  });

  test('unpublishing what is not there is done already', async () => {
    await using csi = await CsiFixture.start();
    const targets = await csi.targets();
    for (const targetPath of [join(targets, 'none'), '/no/such/directory/target']) {
      expect(await csi.node('NodeUnpublishVolume', { volumeId: 'gone', targetPath })).toEqual({});
    }
    await mkdir(join(targets, 'left'));
    expect(await csi.node('NodeUnpublishVolume', { volumeId: 'gone', targetPath: join(targets, 'left') })).toEqual({});
    expect(await readdir(targets)).toEqual([]);
    await mkdir(join(targets, 'full', 'of-somebody'), { recursive: true });
    await expect(
      csi.node('NodeUnpublishVolume', { volumeId: 'gone', targetPath: join(targets, 'full') }),
    ).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await readdir(join(targets, 'full'))).toEqual(['of-somebody']);
  });
});
