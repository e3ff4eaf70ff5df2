// Two pools of one machine: which of them a volume comes to, and a start while the disk of one is not mounted.
import { mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import { Service, until } from '../service-fixture.ts';
import { ServiceUser } from './service-user.ts';

let work: string;
let service: Service;
let user: ServiceUser;

const words = () => ['--pool', `slow=${join(work, 'slow')}`, '--pool', `fast=${join(work, 'fast')}`];

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-pools-'));
  service = await Service.start({ directory: join(work, 'data'), words: words() });
  user = new ServiceUser(service);
});
afterAll(async () => {
  await service.stop();
  await rm(work, { recursive: true });
});

const MiB = 1_048_576;
const blankOf = (storage: string) => ({ source: { blank: {} }, storage: { resources: { requests: { storage } } } });
const poolOf = async (name: string) => (await user.volume(name)).status?.longshore?.pool;

test('a volume comes to the pool that it asks for, its clone beside it, and both are told', async () => {
  await user.create('origin', { blank: {} }, '2Mi', { [annotations.pool]: 'fast' });
  await user.untilPhase('origin', 'Succeeded');
  await user.create('copy', { pvc: { namespace: 'default', name: 'origin' } }, '2Mi');
  await user.untilPhase('copy', 'Succeeded');
  expect([await poolOf('origin'), await poolOf('copy')]).toEqual(['fast', 'fast']);
  expect(await readdir(join(work, 'slow', 'volumes'))).toEqual([]);
  expect((await user.run('get', '-o', 'wide')).stdout).toMatch(/NODE +POOL[\s\S]*origin .* local +fast /);
  expect((await user.run('doctor')).stdout).toMatch(/local +slow .*Ready[\s\S]*local +fast .*Ready/);
});

test('a volume gets its blocks as it wishes, and the metrics tell how many', async () => {
  const wishes = { none: 0, falloc: 4 * MiB, full: 4 * MiB };
  for (const wish of Object.keys(wishes)) {
    await user.create(wish, { blank: {} }, '4Mi', { [annotations.preallocate]: wish, [annotations.pool]: 'slow' });
  }
  for (const [wish, leastBytes] of Object.entries(wishes)) {
    const { status } = await user.untilPhase(wish, 'Succeeded');
    expect(status?.longshore?.allocatedBytes).toBeGreaterThanOrEqual(leastBytes);
    expect(status?.longshore?.allocatedBytes).toBeLessThan(leastBytes + MiB);
  }
  const bad = { ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' }, spec: blankOf('4Mi') };
  const metadata = { name: 'bad', annotations: { [annotations.preallocate]: 'some' } };
  const refused = await service.call<{ message: string }>('POST', user.volumesPath, { ...bad, metadata });
  expect(refused.status).toBe(422);
  expect(refused.body.message).toContain('"none", "falloc", "full"');
});

test('a volume that no pool can hold is refused when it is asked for, with both numbers', async () => {
  const [dataVolume, claim] = [
    await service.call<{ message: string }>('POST', user.volumesPath, {
      ...{
        apiVersion: 'cdi.kubevirt.io/v1beta1',
        kind: 'DataVolume',
        metadata: { name: 'huge' },
        spec: blankOf('4Pi'),
      },
    }),
    await service.call<{ message: string }>('POST', '/api/v1/namespaces/default/persistentvolumeclaims', {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'huge' } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '4Pi' } } },
    }),
  ];
  for (const { status, body } of [dataVolume, claim]) {
    expect(status).toBe(422);
    expect(body.message).toMatch(/4503599627370496 bytes .* were asked; the largest volume has \d+ bytes/);
  }
  expect((await service.call('GET', `${user.volumesPath}/huge`)).status).toBe(404);
});

test('the doctor removes what nobody owns, and only what it was asked for', async () => {
  const stray = join(work, 'slow', 'old.img');
  await writeFile(stray, 'left by somebody');
  await utimes(stray, 0, 0);
  expect((await user.run('doctor')).stdout).toMatch(/^foreign-file +slow .*old\.img/m);
  expect((await user.run('doctor', '--remove', 'pool.json')).code).not.toBe(0);
  expect(await user.run('doctor', '--remove', 'old.img')).toMatchObject({
    ...{ code: 0, stdout: 'old.img: removed from pool slow of node local\n' },
  });
  expect((await user.run('doctor')).stdout).toContain('nothing lies about');
});

test('while a disk is not mounted the other pool serves, nothing of it is lost or let go, and all goes on with it', async () => {
  await service.end('SIGTERM');
  await rename(join(work, 'fast'), join(work, 'away'));
  await mkdir(join(work, 'fast'));
  service = await Service.start({ directory: join(work, 'data'), words: words() });
  user = new ServiceUser(service);
  await user.create('meanwhile', { blank: {} }, '2Mi');
  await user.untilPhase('meanwhile', 'Succeeded');
  expect(await poolOf('meanwhile')).toBe('slow');
  const doctor = await user.run('doctor');
  expect(doctor.stdout).toMatch(/local +fast .*PoolMissing/);
  expect(doctor.code).not.toBe(0);
  await user.run('delete', 'default/copy');
  expect((await user.volume('origin')).status?.phase).toBe('Succeeded');
  // It measures when it starts.
  const { text } = await service.probe('worker', 'metrics');
  expect(text).toMatch(
    /longshore_volume_bytes\{pool="slow",namespace="default",claim="full",kind="allocated"\} 4\d{6}/,
  );
  expect(text).toContain(
    'longshore_volume_bytes{pool="slow",namespace="default",claim="none",kind="reserved"} 4194304',
  );
  expect(await readdir(join(work, 'fast'))).toEqual([]);
  expect(await readdir(join(work, 'away', 'volumes'))).toHaveLength(2);

  await rm(join(work, 'fast'), { recursive: true });
  await rename(join(work, 'away'), join(work, 'fast'));
  await until('the deletion went on', async () => (await readdir(join(work, 'fast', 'volumes'))).length === 1, 30_000);
  expect((await user.run('digest', 'default/origin')).code).toBe(0);
});
