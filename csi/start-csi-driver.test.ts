import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { lstat, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import type { VolumeRecord } from '../domain/volume-record.ts';
import { volumeIdOf } from '../domain/volume-record.ts';
import { createLogger } from '../runtime/logger.ts';
import { Programs } from '../runtime/programs.ts';
import { CsiClient, CsiFixture, driverName, mib, publishRequest } from '../test/csi-fixture.ts';
import { isRoot } from '../test/leave-no-device.ts';
import { newVolumeId, reserveOf, silentLogger, TemporaryPool } from '../test/temporary-pool.ts';
import { Pools } from '../volumes/pools.ts';

const registered = 'pluginregistration.Registration';

describe('who the driver is', () => {
  test('its name, version and services; ready while the disk of its pool is there', async () => {
    await using csi = await CsiFixture.start();
    const identity = (method: string) => csi.client.call('csi.v1.Identity', method, {});
    expect(await identity('GetPluginInfo')).toMatchObject({ name: driverName, vendorVersion: '1.2.3' });
    expect(await identity('GetPluginCapabilities')).toMatchObject({
      capabilities: [
        { service: { type: 'CONTROLLER_SERVICE' } },
        { service: { type: 'VOLUME_ACCESSIBILITY_CONSTRAINTS' } },
        { volumeExpansion: { type: 'ONLINE' } },
      ],
    });
    expect(await identity('Probe')).toEqual({ ready: { value: true } });
    await rename(csi.place.directory, `${csi.place.directory}.away`);
    expect(await identity('Probe')).toEqual({ ready: { value: false } });
    await rename(`${csi.place.directory}.away`, csi.place.directory);
    expect(await identity('Probe')).toEqual({ ready: { value: true } });
  });

  test('the name of a takeover is that of its topology too', async () => {
    await using csi = await CsiFixture.start({ driver: 'kubevirt.io.hostpath-provisioner' });
    expect(await csi.node('NodeGetInfo', {})).toMatchObject({
      accessibleTopology: { segments: { 'topology.kubevirt.io.hostpath-provisioner/node': 'node-1' } },
    });
  });

  test.each([
    ['driver', { driver: 'Not a name' }],
    ['driver', { driver: 'd'.repeat(64) }],
    ['node', { node: 'n'.repeat(64) }],
    ['107 bytes', { socketPath: `/tmp/${'s'.repeat(120)}.sock` }],
  ])('what cannot be its %s is InvalidSetting', async (what, wrong) => {
    await expect(CsiFixture.start(wrong)).rejects.toMatchObject({
      code: 'InvalidSetting',
      detail: expect.stringContaining(what),
    });
  });

  test('a pool with :loop is InvalidSetting, and nothing is served', async () => {
    await using place = await TemporaryPool.make();
    const socketPath = join(place.root, 'csi', 'csi.sock');
    const settings = [{ name: 'default', directory: place.directory, enforcement: 'loop' as const }];
    const pools = await Pools.open({ settings, overcommit: 1, logger: silentLogger });
    await expect(CsiFixture.start({ pools, socketPath })).rejects.toMatchObject({
      code: 'InvalidSetting',
      detail: expect.stringContaining(`name it \`default=${place.directory}\``),
    });
    await pools.close();
    expect(await readdir(place.root)).not.toContain('csi');
  });

  test.skipIf(!isRoot)('a volume that has a file system of its own is not handed out', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open({ enforcement: 'loop' });
    const volume = await pool.reserve(reserveOf(newVolumeId(), mib));
    await pool.close();
    const pools = await place.openAll();
    await using csi = await CsiFixture.start({ pools });
    const request = publishRequest(volume, join(await csi.targets(), 'one'));
    for (const method of ['NodeStageVolume', 'NodePublishVolume']) {
      await expect(csi.node(method, request)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('file system of its own'),
      });
    }
    expect(await csi.mounts()).toEqual([]);
    expect(pools.get(volume.volumeId)?.state).toBe('empty');
  });

  test('a machine without mount is told the package', async () => {
    await expect(CsiFixture.start({ programs: new Programs(new Map()) })).rejects.toMatchObject({
      code: 'ProgramMissing',
      detail: expect.stringContaining('apt-get install mount'),
    });
  });

  test('calls of later versions of the interface are UNIMPLEMENTED', async () => {
    await using csi = await CsiFixture.start();
    const { client } = csi;
    await expect(client.call('csi.v1.Controller', 'ControllerModifyVolume', {})).rejects.toMatchObject({
      code: status.UNIMPLEMENTED,
    });
  });
});

describe('its socket', () => {
  test('only this user may use it and its directory; it goes with the driver', async () => {
    await using csi = await CsiFixture.start();
    const modeOf = async (path: string) => (await lstat(path)).mode & 0o777;
    expect(await modeOf(csi.socketPath)).toBe(0o600);
    expect(await modeOf(join(csi.place.root, 'csi'))).toBe(0o700);
    await csi.driver.stop();
    expect(await readdir(join(csi.place.root, 'csi'))).toEqual([]);
  });

  test('one that a killed process left is removed; one that is served, and a file, are not', async () => {
    await using place = await TemporaryPool.make();
    const socketPath = join(place.root, 'csi.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => console.log('up'))`;
    const killed = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(killed.stdout, 'data');
    await expect(CsiFixture.start({ socketPath })).rejects.toMatchObject({ code: 'AddressInUse' });
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    expect((await lstat(socketPath)).isSocket()).toBe(true);
    await using csi = await CsiFixture.start({ socketPath });
    const client = new CsiClient(socketPath);
    expect(await client.call('csi.v1.Identity', 'Probe', {})).toEqual({ ready: { value: true } });
    client.close();
    await csi.driver.stop();
    await writeFile(socketPath, 'of somebody');
    await expect(CsiFixture.start({ socketPath })).rejects.toMatchObject({ code: 'InvalidSetting' });
    expect((await lstat(socketPath)).isFile()).toBe(true);
  });

  test('stopping ends the calls that run with ABORTED, and answers them', async () => {
    const asked = Promise.withResolvers<void>();
    const whoFills = (_volume: VolumeRecord, signal: AbortSignal) => {
      asked.resolve();
      return new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await using csi = await CsiFixture.start({ whoFills });
    const volume = await csi.pool.reserve(reserveOf(volumeIdOf(randomUUID()), mib));
    const call = csi.client.begin('csi.v1.Node', 'NodeStageVolume', publishRequest(volume, '/x'));
    await asked.promise;
    const ended = expect(call.reply).rejects.toMatchObject({
      code: status.ABORTED,
      details: expect.stringContaining('the CSI driver stops'),
    });
    await csi.driver.stop();
    await ended;
  });
});

describe('the registration with the kubelet', () => {
  async function registering(directory: string) {
    await mkdir(directory, { recursive: true });
    return { directory, endpoint: '/var/lib/kubelet/plugins/csi.longshore.dev/csi.sock' };
  }

  test('the kubelet learns the name and the socket; what it says then is told', async () => {
    await using place = await TemporaryPool.make();
    const directory = join(place.root, 'plugins_registry');
    await using csi = await CsiFixture.start({ registration: await registering(directory) });
    expect(csi.driver.notRegistered()).toMatch(/not found the CSI driver yet/);
    const path = join(directory, `${driverName}-reg.sock`);
    expect((await lstat(path)).mode & 0o777).toBe(0o600);
    const kubelet = new CsiClient(path);
    expect(await kubelet.call(registered, 'GetInfo', {})).toEqual({
      type: 'CSIPlugin',
      name: driverName,
      endpoint: '/var/lib/kubelet/plugins/csi.longshore.dev/csi.sock',
      supportedVersions: ['1.0.0'],
    });
    const tell = (answer: object) => kubelet.call(registered, 'NotifyRegistrationStatus', answer);
    await tell({ pluginRegistered: false, error: 'no such node' });
    expect(csi.driver.notRegistered()).toMatch(/refuses the CSI driver: no such node/);
    await tell({ pluginRegistered: true });
    expect(csi.driver.notRegistered()).toBeUndefined();
    kubelet.close();
    await csi.driver.stop();
    expect(await readdir(directory)).toEqual([]);
  });

  test('without a directory of the kubelet nothing is served, and the socket of the driver is gone', async () => {
    await using place = await TemporaryPool.make();
    const socketPath = join(place.root, 'csi', 'csi.sock');
    const registration = { directory: join(place.root, 'none'), endpoint: socketPath };
    await expect(CsiFixture.start({ socketPath, registration })).rejects.toMatchObject({ code: 'InvalidSetting' });
    expect(await readdir(join(place.root, 'csi'))).toEqual([]);
  });

  test('without a kubelet to ask there is nothing to wait for', async () => {
    await using csi = await CsiFixture.start();
    expect(csi.driver.notRegistered()).toBeUndefined();
  });
});

test('what fails is logged with method and code, and nothing else of the request', async () => {
  const lines: string[] = [];
  const logger = createLogger({ logLevel: 'info' }, 'csi', { write: (line) => lines.push(line) });
  await using csi = await CsiFixture.start({ logger });
  const request = { name: '', secrets: { pass: 'hunter2' }, parameters: { token: 'hunter2' } };
  await expect(csi.controller('CreateVolume', request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  expect(lines.join('')).toContain('"method":"CreateVolume"');
  expect(lines.join('')).not.toContain('hunter2');
});
