// Block claims from outside, on one machine: they come in by import, upload and clone, grow while somebody has them open, outlive a restart of the service
// and one of the machine, and leave no device behind.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { devicePathOf } from '../../domain/block-device.ts';
import type { Claim, KubeEvent } from '../../domain/kube-shapes.ts';
import { volumeIdOf } from '../../domain/volume-record.ts';
import { HostileServer } from '../hostile/hostile-server.ts';
import { detachDevice, deviceLinks, devicesBelow, isRoot, leaveNoDevice } from '../leave-no-device.ts';
import { Service, until } from '../service-fixture.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const claimsPath = '/api/v1/namespaces/default/persistentvolumeclaims';
let service: Service;
let user: ServiceUser;
let server: HostileServer;
let work: string;
let disk: Buffer;

async function claimOf(name: string): Promise<Claim> {
  return (await service.call<Claim>('GET', `${claimsPath}/${name}`)).body;
}

async function pathOf(name: string): Promise<string> {
  const told = await user.run('path', name);
  expect(told).toMatchObject({ code: 0, stderr: '' });
  return told.stdout.trim();
}

async function reasonsOf(name: string): Promise<(string | undefined)[]> {
  const { body } = await service.call<{ items: KubeEvent[] }>('GET', '/api/v1/namespaces/default/events');
  const ofClaim = body.items.filter(
    ({ involvedObject }) => involvedObject.kind === 'PersistentVolumeClaim' && involvedObject.name === name,
  );
  return ofClaim.map(({ reason }) => reason);
}

const grow = (name: string, storage: string) =>
  service.call<Claim & { message?: string }>('PATCH', `${claimsPath}/${name}`, {
    spec: { resources: { requests: { storage } } },
  });

function asked(question: string, device: string): number {
  return Number(execFileSync('blockdev', [question, device], { encoding: 'utf8' }));
}

// Devices are attached.
describe.skipIf(!isRoot)('block claims', () => {
  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 'ls-block-'));
    disk = Buffer.concat([randomBytes(2 * MiB), Buffer.alloc(3 * MiB), randomBytes(MiB)]);
    await writeFile(join(work, 'raw'), disk);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
    [service, server] = await Promise.all([Service.start({ directory: join(work, 'data') }), HostileServer.start()]);
    user = new ServiceUser(service);
    server.set('qcow2', await readFile(join(work, 'qcow2')));
  }, 120_000);

  afterAll(async () => {
    await Promise.all([server.stop(), service.end('SIGTERM')]);
    await leaveNoDevice(work);
    await rm(work, { recursive: true });
  });

  test('an import, an upload, a clone and an empty one are devices with the same content', async () => {
    const done = { code: 0, stdout: expect.stringContaining('Succeeded') };
    const url = server.url('ranges', 'qcow2');
    expect(await user.run('import', url, 'imported', '--block', '--sector-size', '4096', '--wait')).toMatchObject(done);
    expect(await user.run('upload', join(work, 'raw'), 'uploaded', '--block')).toMatchObject(done);
    expect(await user.run('clone', 'uploaded', 'cloned', '--block', '--wait')).toMatchObject(done);
    expect(await user.run('blank', 'empty', '--block', '--size', '6Mi', '--wait')).toMatchObject(done);
    for (const name of ['imported', 'uploaded', 'cloned']) {
      const path = await pathOf(name);
      expect(path).toBe(devicePathOf(volumeIdOf((await claimOf(name)).metadata.uid ?? '')));
      expect((await readFile(path)).equals(disk)).toBe(true);
      expect(asked('--getss', path)).toBe(name === 'imported' ? 4096 : 512);
      const claim = await claimOf(name);
      expect(claim).toMatchObject({
        spec: { volumeMode: 'Block' },
        status: { phase: 'Bound', capacity: { storage: '6Mi' } },
      });
    }
    expect((await readFile(await pathOf('empty'))).equals(Buffer.alloc(6 * MiB))).toBe(true);
    const volumes = await Promise.all(['imported', 'uploaded'].map((name) => user.volume(name)));
    const [one, other] = volumes.map(({ status }) => status?.longshore?.contentDigest);
    expect(one).toBe(other);
  });

  test('a clone of a device is as large as that, whole sectors, whatever it is and whether it says so', async () => {
    const size = String(MiB + 1);
    const done = { code: 0, stdout: expect.stringContaining('Succeeded') };
    const uneven = ['blank', 'uneven', '--block', '--sector-size', '4096', '--size', size, '--wait'];
    expect(await user.run(...uneven)).toMatchObject(done);
    expect(await user.run('clone', 'uneven', 'uneven-file', '--wait')).toMatchObject(done);
    expect((await readFile(await pathOf('uneven-file'))).length).toBe(MiB + 4096);
    const alike = ['clone', 'uneven', 'uneven-device', '--block', '--sector-size', '4096', '--size', size, '--wait'];
    expect(await user.run(...alike)).toMatchObject(done);
    expect(asked('--getsize64', await pathOf('uneven-device'))).toBe(MiB + 4096);
  });

  test('a claim that nobody fills is a device; its size is rounded up to whole sectors, and that is told', async () => {
    const { status } = await service.call('POST', claimsPath, {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
      metadata: { name: 'own', annotations: { 'longshore.dev/sector-size': '4096' } },
      spec: {
        ...{ accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
        resources: { requests: { storage: String(MiB + 1) } },
      },
    });
    expect(status).toBe(201);
    await until('it is bound', async () => (await claimOf('own')).status?.phase === 'Bound');
    expect((await claimOf('own')).status?.capacity).toEqual({ storage: '1028Ki' });
    await until('it is told', async () => (await reasonsOf('own')).includes('SizeRounded'));
    await until('it has a path', async () => (await user.run('path', 'own')).code === 0);
    expect(asked('--getsize64', await pathOf('own'))).toBe(MiB + 4096);
  });

  test('sectors that no device has are refused', async () => {
    const { status } = await service.call('POST', claimsPath, {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
      metadata: { name: 'odd', annotations: { 'longshore.dev/sector-size': '520' } },
      spec: {
        ...{ accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
        resources: { requests: { storage: '1Mi' } },
      },
    });
    expect(status).toBe(201);
    await until('it is told', async () => JSON.stringify(await claimOf('odd')).includes('InvalidRequest'));
    expect((await claimOf('odd')).status?.phase).toBe('Pending');
    expectTold(await user.run('blank', 'odder', '--size', '1Mi', '--sector-size', '4096'), 'InvalidRequest');
  });

  test('it grows while somebody has it open, and never shrinks', async () => {
    const path = await pathOf('uploaded');
    await using device = await open(path, 'r+');
    expect((await grow('uploaded', '9Mi')).status).toBe(200);
    await until('it has grown', async () => (await claimOf('uploaded')).status?.capacity?.['storage'] === '9Mi');
    const claim = await claimOf('uploaded');
    expect(claim.status?.conditions ?? []).toEqual([]);
    expect(asked('--getsize64', path)).toBe(9 * MiB);
    await device.write(Buffer.from('the new end'), 0, 11, 9 * MiB - 512);
    await device.sync();
    expect((await readFile(path)).subarray(0, disk.length).equals(disk)).toBe(true);
    await until('it is told', async () => (await reasonsOf('uploaded')).includes('VolumeResizeSuccessful'));
    const smaller = await grow('uploaded', '6Mi');
    expect([smaller.status, smaller.body.message]).toEqual([
      422,
      expect.stringContaining('field can not be less than status.capacity'),
    ]);
  });

  test('a file grows too', async () => {
    expect(await user.run('upload', join(work, 'raw'), 'file')).toMatchObject({ code: 0 });
    expect((await grow('file', '8Mi')).status).toBe(200);
    await until('it has grown', async () => (await claimOf('file')).status?.capacity?.['storage'] === '8Mi');
    const content = await readFile(await pathOf('file'));
    expect([content.length, content.subarray(0, disk.length).equals(disk)]).toEqual([8 * MiB, true]);
  });

  test('more than the pool can promise is told on the claim, and may be taken back', async () => {
    const tooLarge = await grow('cloned', '1Pi');
    expect(tooLarge).toMatchObject({
      status: 422,
      body: { message: expect.stringContaining('the largest volume has') },
    });
    const { body } = await service.call<{ nodes: { pools: { usage: { capacityBytes: number } }[] }[] }>(
      'GET',
      '/apis/longshore.dev/v1alpha1/doctor',
    );
    const quarter = Math.floor((body.nodes[0]?.pools[0]?.usage.capacityBytes ?? 0) / 4);
    // It takes no room but what is promised.
    expect((await user.run('blank', 'half', '--size', String(2 * quarter), '--wait')).code).toBe(0);
    expect((await grow('cloned', String(3 * quarter))).status).toBe(200);
    await until('it is told', async () => (await reasonsOf('cloned')).includes('VolumeResizeFailed'));
    const claim = await claimOf('cloned');
    expect(claim.status).toMatchObject({
      capacity: { storage: '6Mi' },
      conditions: [{ type: 'ControllerResizeError', status: 'True', message: expect.stringContaining('PoolFull') }],
    });
    expect((await grow('cloned', '7Mi')).status).toBe(200);
    await until('it has grown', async () => (await claimOf('cloned')).status?.capacity?.['storage'] === '7Mi');
    await until('nothing is amiss', async () => ((await claimOf('cloned')).status?.conditions ?? []).length === 0);
    await user.run('delete', 'half');
  });

  test('it outlives a restart of the service and of the machine', async () => {
    const path = await pathOf('imported');
    const before = await readlink(path);
    await service.end('SIGTERM');
    expect(await readlink(path)).toBe(before);
    // What a restart of the machine does.
    for (const { device } of await devicesBelow(work)) await detachDevice(device);
    for (const [name] of await deviceLinks()) await rm(devicePathOf(volumeIdOf(name.slice(4))), { force: true });
    service = await Service.start({ directory: join(work, 'data') });
    user = new ServiceUser(service);
    expect((await readFile(path)).equals(disk)).toBe(true);
    expect(await pathOf('imported')).toBe(path);
  });

  test('deleted, it leaves no device and no file', async () => {
    for (const name of ['imported', 'uploaded', 'cloned', 'empty', 'file', 'uneven', 'uneven-file', 'uneven-device']) {
      expect(await user.run('delete', name)).toMatchObject({ code: 0 });
    }
    for (const name of ['own', 'odd']) await service.call('DELETE', `${claimsPath}/${name}`);
    await until('no device is left', async () => (await devicesBelow(work)).length === 0);
    const { stdout } = await user.run('doctor');
    expect(stdout).not.toContain('pvc-');
  });
});
