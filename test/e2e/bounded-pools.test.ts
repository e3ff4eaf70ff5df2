// A pool whose Filesystem claims have file systems of their own, from outside: they are filled in every way, grow, are full alone, and leave nothing.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileServer } from '../hostile/hostile-server.ts';
import { devicesBelow, isRoot, leaveNoDevice, mountsBelow } from '../leave-no-device.ts';
import { Service, until } from '../service-fixture.ts';
import { ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
let work: string;
let service: Service;
let user: ServiceUser;
let server: HostileServer;
let disk: Buffer;

// File systems are mounted.
describe.skipIf(!isRoot)('a pool with :loop', () => {
  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 'ls-bounded-'));
    disk = Buffer.concat([randomBytes(2 * MiB), Buffer.alloc(3 * MiB), randomBytes(MiB)]);
    await writeFile(join(work, 'raw'), disk);
    await writeFile(join(work, 'file'), 'content');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
    execFileSync('tar', ['-cf', 'tar', 'file'], { cwd: work });
    const words = ['--pool', `default:loop=${join(work, 'pool')}`];
    [service, server] = await Promise.all([
      Service.start({ directory: join(work, 'data'), words }),
      HostileServer.start(),
    ]);
    user = new ServiceUser(service);
    for (const name of ['qcow2', 'tar']) server.set(name, await readFile(join(work, name)));
  });
  afterAll(async () => {
    await Promise.all([server.stop(), service.end('SIGTERM')]);
    await leaveNoDevice(work);
    await rm(work, { recursive: true });
  });

  const pathOf = async (name: string) => (await user.run('path', name)).stdout.trim();

  test('imports, uploads, clones and archives come in whole, and the doctor tells how they are held', async () => {
    const done = { code: 0, stdout: expect.stringContaining('Succeeded') };
    expect(await user.run('import', server.url('ranges', 'qcow2'), 'imported', '--wait')).toMatchObject(done);
    expect(await user.run('upload', join(work, 'raw'), 'uploaded')).toMatchObject(done);
    expect(await user.run('upload', join(work, 'qcow2'), 'converted')).toMatchObject(done);
    expect(await user.run('clone', 'uploaded', 'cloned', '--wait')).toMatchObject(done);
    for (const name of ['imported', 'uploaded', 'converted', 'cloned']) {
      expect((await readFile(await pathOf(name))).equals(disk)).toBe(true);
    }
    expect(
      (await user.run('import', server.url('ranges', 'tar'), 'files', '--archive', '--size', '2Mi', '--wait')).code,
    ).toBe(0);
    expect(await readFile(join(await pathOf('files'), 'file'), 'utf8')).toBe('content');
    expect((await user.run('doctor')).stdout).toMatch(/local +default .* loop +Ready/);
    expect(user.staged()).toEqual([]);
  });

  test('who fills his own takes nothing from the next; he may ask for more, and all goes with the claims', async () => {
    const [own, next] = [dirname(await pathOf('uploaded')), dirname(await pathOf('cloned'))];
    const before = await statfs(next);
    await expect(writeFile(join(own, 'more'), Buffer.alloc(64 * MiB, 1))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect((await statfs(next)).bavail).toBe(before.bavail);
    await service.call('PATCH', '/api/v1/namespaces/default/persistentvolumeclaims/uploaded', {
      spec: { resources: { requests: { storage: '40Mi' } } },
    });
    await until('there is more room', async () => {
      const { bavail, bsize } = await statfs(own);
      return bavail * bsize > 30 * MiB;
    });
    await user.run('delete', 'imported', 'uploaded', 'converted', 'cloned', 'files');
    await until('nothing is left', async () => (await readdir(join(work, 'pool', 'volumes'))).length === 0);
    expect([await mountsBelow(work), await devicesBelow(work)]).toEqual([[], []]);
  });
});
