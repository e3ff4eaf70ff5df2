// The store of a service is lost, and its pool is not: every volume that holds something comes back with its name, size and digest, and can be used as before.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { Service, until } from '../service-fixture.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
let work: string;
let service: Service;
let user: ServiceUser;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-lost-'));
  service = await Service.start({ directory: join(work, 'data') });
  user = new ServiceUser(service);
});
afterAll(async () => {
  await service.end('SIGTERM');
  await rm(work, { recursive: true });
});

const claimsPath = '/api/v1/namespaces/shop/persistentvolumeclaims';
const isGone = async (name: string) => (await service.call('GET', `${claimsPath}/${name}`)).status === 404;
const claimOf = async (name: string) => (await service.call<Claim>('GET', `${claimsPath}/${name}`)).body;
const volumeOf = async (name: string) =>
  (await service.call<DataVolume>('GET', `/apis/cdi.kubevirt.io/v1beta1/namespaces/shop/datavolumes/${name}`)).body;

async function loseStore(): Promise<void> {
  await service.end('SIGTERM');
  await rm(join(work, 'data', 'store'), { recursive: true });
  service = await Service.start({ directory: join(work, 'data') });
  user = new ServiceUser(service);
}

test('what was uploaded and what is a user’s own is there as before; a clone of it works, and its manifest does not bring it again', async () => {
  const disk = Buffer.concat([randomBytes(2 * MiB), Buffer.alloc(MiB)]);
  await writeFile(join(work, 'raw'), disk);
  expect((await user.run('upload', join(work, 'raw'), 'shop/kept', '--size', '4194307')).code).toBe(0);
  expect((await user.run('blank', 'shop/empty', '--size', '2Mi', '--wait')).code).toBe(0);
  await service.call('POST', claimsPath, {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'files' } },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '3Mi' } } },
  });
  await until('files is bound', async () => (await claimOf('files')).status?.phase === 'Bound', 10_000);
  const [before, claims] = [await volumeOf('kept'), await Promise.all(['kept', 'empty', 'files'].map(claimOf))];
  const digest = await user.run('digest', 'shop/kept');

  await loseStore();
  await until('all are back', async () => (await claimOf('files')).status?.phase === 'Bound', 10_000);
  await until('kept succeeds', async () => (await volumeOf('kept')).status?.phase === 'Succeeded', 10_000);
  const { longshore } = (await volumeOf('kept')).status ?? {};
  const { volumeId, virtualSize, contentDigest } = before.status?.longshore ?? {};
  expect(longshore).toMatchObject({ volumeId, virtualSize, contentDigest });
  const after = await Promise.all(['kept', 'empty', 'files'].map(claimOf));
  for (const [at, claim] of claims.entries()) {
    expect(after[at]?.metadata.uid).toBe(claim.metadata.uid);
    expect(after[at]?.status).toEqual(claim.status);
    expect(after[at]?.metadata.annotations?.[annotations.path]).toBe(claim.metadata.annotations?.[annotations.path]);
  }
  expect(await user.run('digest', 'shop/kept')).toEqual(digest);
  const path = (await user.run('path', 'shop/kept')).stdout.trim();
  expect((await readFile(path)).subarray(0, disk.length).equals(disk)).toBe(true);
  expect((await user.run('clone', 'shop/kept', 'shop/copy', '--wait')).code).toBe(0);
  expect((await volumeOf('copy')).status?.longshore?.virtualSize).toBe(4_194_307);
  expect((await user.run('doctor')).stdout).toContain('nothing lies about');

  // What the user's manifest says; told again it changes nothing of the volume.
  const spec = {
    source: { upload: {} },
    storage: { resources: { requests: { storage: '4194307' } } },
  };
  const volumePath = '/apis/cdi.kubevirt.io/v1beta1/namespaces/shop/datavolumes/kept';
  expect((await service.call('PATCH', volumePath, { spec })).status).toBe(200);
  expect((await service.call('PATCH', volumePath, { spec: { source: { upload: null, blank: {} } } })).status).not.toBe(
    200,
  );
  expect((await volumeOf('kept')).status).toMatchObject({ phase: 'Succeeded', longshore: { contentDigest } });
  expect((await user.run('delete', 'shop/kept')).code).toBe(0);
  await until('kept is gone', () => isGone('kept'), 10_000);
});

test('a store that is not new gets a claim back only when somebody asks', async () => {
  expect((await user.run('blank', 'shop/other', '--size', '1Mi', '--wait')).code).toBe(0);
  const { uid } = (await claimOf('other')).metadata;
  await service.end('SIGTERM');
  // As in an older copy of the store, in which the volume is not.
  const database = new DatabaseSync(join(work, 'data', 'store', 'objects.sqlite'));
  database.exec("DELETE FROM objects WHERE namespace = 'shop' AND name = 'other'");
  database.close();
  service = await Service.start({ directory: join(work, 'data') });
  user = new ServiceUser(service);
  const path = `volumes/pvc-${uid}`;
  expect((await user.run('doctor')).stdout).toMatch(new RegExp(`volume without a claim .* ${path} .*shop/other`));
  expectTold(await user.run('doctor', '--restore', 'volumes/none'), 'NotFound');
  await user.run('blank', 'shop/other', '--size', '2Mi', '--wait');
  expectTold(await user.run('doctor', '--restore', path), 'AlreadyExists');
  await user.run('delete', 'shop/other');
  await until('the name is free', () => isGone('other'), 10_000);
  const told = await user.run('doctor', '--restore', path);
  expect(told).toMatchObject({ code: 0, stdout: `${path}: restored from pool default of node local\n` });
  await until('other is back', async () => (await claimOf('other')).status?.phase === 'Bound', 10_000);
  expect((await claimOf('other')).metadata.uid).toBe(uid);
});
