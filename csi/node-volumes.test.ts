// Volumes that are mounted for pods and taken back, by a client and with real mounts.
import { execFileSync } from 'node:child_process';
import { chmod, readdir, readFile, rename, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import {
  CsiFixture,
  capability,
  completeVolume,
  emptyVolume,
  isRoot,
  mib,
  programsWith,
  publishRequest,
} from '../test/csi-fixture.ts';

describe.skipIf(!isRoot)('mounting, as root', () => {
  test('a claim that nobody fills is plain and mounted at once; the pod’s files are in the pool; a second time is no second mount', async () => {
    await using csi = await CsiFixture.start();
    const volume = await emptyVolume(csi);
    const target = join(await csi.targets(), 'target');
    const request = publishRequest(volume, target);
    const times = Array.from({ length: 5 }, () => csi.node('NodePublishVolume', request));
    expect(await Promise.all(times)).toEqual([{}, {}, {}, {}, {}]);
    expect(await csi.mounts()).toEqual([target]);
    expect(csi.pool.get(volume.volumeId)).toMatchObject({ state: 'plain' });
    const { mode, uid, gid } = await stat(target);
    expect([mode & 0o7777, uid, gid]).toEqual([0o2775, 107, 107]);
    await writeFile(join(target, 'of-the-pod'), 'hello');
    expect(await readFile(join(csi.pool.dataPath(volume.volumeId), 'of-the-pod'), 'utf8')).toBe('hello');
    for (const _ of [1, 2]) {
      expect(await csi.node('NodeUnpublishVolume', { volumeId: volume.volumeId, targetPath: target })).toEqual({});
    }
    expect([await csi.mounts(), await readdir(await csi.targets())]).toEqual([[], []]);
    expect(await csi.place.files('volumes')).toContain(`${volume.volumeId}/data/of-the-pod`);
  });

  test('a user of group 107, and one of the group that the kubelet gives it, both read and write', async () => {
    await using csi = await CsiFixture.start();
    await chmod(csi.place.root, 0o755);
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target));
    const as = (user: number, group: number, groups: string) =>
      execFileSync(
        'setpriv',
        [
          `--reuid=${user}`,
          `--regid=${group}`,
          groups,
          'sh',
          '-c',
          `cat ${target}/disk.img && echo more >> ${target}/disk.img && touch ${target}/by-${user}`,
        ],
        { encoding: 'utf8' },
      );
    expect(as(107, 107, '--clear-groups')).toBe('the disk');
    // What a kubelet does for fsGroup 1000, where the driver says File.
    execFileSync('chgrp', ['-R', '1000', target]);
    execFileSync('chmod', ['-R', 'g+rwX', target]);
    expect(as(1000, 1000, '--groups=1000')).toBe('the diskmore\n');
    await csi.node('NodeUnpublishVolume', publishRequest(volume, target));
  });

  test('the first use for writing makes the digests void; reading does not', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const targets = await csi.targets();
    await csi.node('NodePublishVolume', publishRequest(volume, join(targets, 'reader'), { readonly: true }));
    await csi.node(
      'NodePublishVolume',
      publishRequest(volume, join(targets, 'also'), { volumeCapability: capability('SINGLE_NODE_READER_ONLY') }),
    );
    expect(csi.pool.get(volume.volumeId)).not.toHaveProperty('usedSince');
    await csi.node('NodePublishVolume', publishRequest(volume, join(targets, 'writer')));
    expect(csi.pool.get(volume.volumeId)).toHaveProperty('usedSince');
    for (const reader of ['reader', 'also']) {
      expect(await readFile(join(targets, reader, 'disk.img'), 'utf8')).toBe('the disk');
      await expect(writeFile(join(targets, reader, 'disk.img'), 'x')).rejects.toMatchObject({ code: 'EROFS' });
    }
    await writeFile(join(targets, 'writer', 'disk.img'), 'written');
    expect((await csi.mounts()).length).toBe(3);
  });

  test('published at a target otherwise is ALREADY_EXISTS; something else there is INVALID_ARGUMENT and stays', async () => {
    await using csi = await CsiFixture.start();
    const [volume, other] = [await completeVolume(csi), await completeVolume(csi)];
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target, { readonly: true }));
    await expect(csi.node('NodePublishVolume', publishRequest(volume, target))).rejects.toMatchObject({
      code: status.ALREADY_EXISTS,
    });
    for (const method of ['NodePublishVolume', 'NodeUnpublishVolume']) {
      await expect(csi.node(method, publishRequest(other, target))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    }
    const file = join(await csi.targets(), 'file');
    await writeFile(file, '');
    await expect(csi.node('NodePublishVolume', publishRequest(volume, file))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(await csi.mounts()).toEqual([target]);
  });

  test('of two volumes that are to be at one target at once, one is', async () => {
    await using csi = await CsiFixture.start();
    const target = join(await csi.targets(), 'target');
    const requests = [await completeVolume(csi), await completeVolume(csi)].map((each) => publishRequest(each, target));
    const ends = await Promise.allSettled(requests.map((request) => csi.node('NodePublishVolume', request)));
    expect(ends.map(({ status: how }) => how).sort()).toEqual(['fulfilled', 'rejected']);
    expect(ends.find((end) => end.status === 'rejected')?.reason).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await csi.mounts()).toEqual([target]);
  });

  test('a volume for one pod only is published at one target only; others at many', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const targets = await csi.targets();
    const once = { volumeCapability: capability('SINGLE_NODE_SINGLE_WRITER') };
    await csi.node('NodePublishVolume', publishRequest(volume, join(targets, 'a'), once));
    await csi.node('NodePublishVolume', publishRequest(volume, join(targets, 'a'), once));
    await expect(csi.node('NodePublishVolume', publishRequest(volume, join(targets, 'b'), once))).rejects.toMatchObject(
      {
        code: status.FAILED_PRECONDITION,
      },
    );
    await csi.node('NodePublishVolume', publishRequest(volume, join(targets, 'b')));
    expect(await csi.mounts()).toEqual([join(targets, 'a'), join(targets, 'b')]);
  });

  test('options of the class are those of the mount', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    const mountFlags = ['ro', 'noexec', 'noatime'];
    const wish = { volumeCapability: capability('SINGLE_NODE_WRITER', { mountFlags }) };
    await csi.node('NodePublishVolume', publishRequest(volume, target, wish));
    const line = (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .find((each) => each.includes(` ${target} `));
    expect(line?.split(' ')[5]?.split(',')).toEqual(expect.arrayContaining(mountFlags));
  });

  test('a published volume is not deleted; once it is taken back it is', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target));
    await expect(csi.controller('DeleteVolume', volume)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await csi.node('NodeUnpublishVolume', publishRequest(volume, target));
    expect(await csi.controller('DeleteVolume', volume)).toEqual({});
    expect(await csi.place.files()).toEqual([]);
  });

  test('a target below a linked directory is found again, and a volume that was removed meanwhile is taken off', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const targets = await csi.targets();
    const linked = join(csi.place.root, 'a link');
    await symlink(targets, linked);
    const request = publishRequest(volume, join(linked, 'tar get'));
    await csi.node('NodePublishVolume', request);
    await csi.node('NodePublishVolume', request);
    expect(await csi.mounts()).toEqual([join(targets, 'tar get')]);
    await rm(csi.pool.dataPath(volume.volumeId), { recursive: true });
    await csi.node('NodeUnpublishVolume', request);
    expect([await csi.mounts(), await readdir(targets)]).toEqual([[], []]);
    await expect(csi.node('NodePublishVolume', request)).rejects.toMatchObject({ code: status.DATA_LOSS });
    expect(await readdir(targets)).toEqual([]);
  });

  test('a target that somebody uses is FAILED_PRECONDITION until he is gone', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target));
    const here = process.cwd();
    process.chdir(target);
    try {
      await expect(csi.node('NodeUnpublishVolume', publishRequest(volume, target))).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
      });
    } finally {
      process.chdir(here);
    }
    expect(await csi.node('NodeUnpublishVolume', publishRequest(volume, target))).toEqual({});
  });

  test.each([
    ['hangs before it mounts', 'exec sleep 600'],
    ['hangs after it has mounted', '/usr/bin/mount "$@"; exec sleep 600'],
  ])('a mount that %s ends with its call and leaves nothing', async (_how, script) => {
    const root = await CsiFixture.start();
    const programs = await programsWith(root, 'mount', `touch "${root.place.root}/began"; ${script}`);
    await root.driver.stop();
    await using csi = await CsiFixture.start({ programs });
    await using _root = root;
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    const call = csi.client.begin('csi.v1.Node', 'NodePublishVolume', publishRequest(volume, target));
    await expect.poll(() => readdir(root.place.root)).toContain('began');
    if (script.startsWith('/usr')) await expect.poll(() => csi.mounts()).toEqual([target]);
    call.cancel();
    await expect(call.reply).rejects.toMatchObject({ code: status.CANCELLED });
    await expect.poll(async () => [await csi.mounts(), await readdir(await csi.targets())]).toEqual([[], []]);
  });

  test('a mount that fails is told with what mount said, and leaves nothing', async () => {
    const root = await CsiFixture.start();
    const programs = await programsWith(root, 'mount', 'echo "mount: no more mounts" >&2; exit 32');
    await using _root = root;
    await using csi = await CsiFixture.start({ programs });
    const target = join(await csi.targets(), 'target');
    await expect(
      csi.node('NodePublishVolume', publishRequest(await completeVolume(csi), target)),
    ).rejects.toMatchObject({
      code: status.INTERNAL,
      details: expect.stringContaining('no more mounts'),
    });
    expect(await readdir(await csi.targets())).toEqual([]);
  });

  test('stats tell what of the volume’s own size is used, and the condition', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi, 'x'.repeat(8192));
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target));
    const ask = () => csi.node('NodeGetVolumeStats', { volumeId: volume.volumeId, volumePath: target });
    const { ffree } = await statfs(target);
    const reply = await ask();
    expect(reply).toMatchObject({
      usage: [
        { unit: 'BYTES', total: String(10 * mib), used: '8192', available: String(10 * mib - 8192) },
        { unit: 'INODES', used: '2' },
      ],
      volumeCondition: { abnormal: false },
    });
    expect(ffree).toBeGreaterThan(0);
    await rename(csi.pool.dataPath(volume.volumeId), `${csi.pool.dataPath(volume.volumeId)}.away`);
    await expect(ask()).rejects.toMatchObject({ code: status.NOT_FOUND });
    const away = { ...publishRequest(volume, target), volumePath: await csi.targets() };
    await expect(csi.node('NodeGetVolumeStats', away)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test('a volume whose files are gone, or whose disk is a pipe of the pod’s making, still tells its stats', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target));
    const ask = () => csi.node('NodeGetVolumeStats', { volumeId: volume.volumeId, volumePath: target });
    await rm(join(target, 'disk.img'));
    execFileSync('mkfifo', [join(target, 'disk.img')]);
    expect(await ask()).toMatchObject({ usage: [{ used: '0' }, { used: '2' }], volumeCondition: { abnormal: false } });
    await rm(csi.pool.dataPath(volume.volumeId), { recursive: true });
    expect(await ask()).toMatchObject({ volumeCondition: { abnormal: true } });
  });

  test('what is published stays published when the driver stops and another takes the pool', async () => {
    await using csi = await CsiFixture.start();
    const volume = await completeVolume(csi);
    const target = join(await csi.targets(), 'target');
    await csi.node('NodePublishVolume', publishRequest(volume, target));
    await csi.driver.stop();
    await csi.pool.close();
    expect(await readFile(join(target, 'disk.img'), 'utf8')).toBe('the disk');
    const pools = await csi.place.openAll();
    const unreachable = () => Promise.reject(new Fault('ServiceUnreachable', 'no channel'));
    await using next = await CsiFixture.start({ pools, whoFills: unreachable });
    await next.node('NodePublishVolume', publishRequest(volume, target));
    expect(await csi.mounts()).toEqual([target]);
    await next.node('NodeUnpublishVolume', publishRequest(volume, target));
    expect(await csi.mounts()).toEqual([]);
  });
});
