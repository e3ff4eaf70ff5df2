// Archives from outside: imported from a web server, uploaded by the command and as virtctl does it, looked at, cloned, refused and deleted.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DataVolume } from '../../domain/data-volume.ts';
import { treeDigest } from '../../volumes/tree-digest.ts';
import { Service, until } from '../service-fixture.ts';
import { tarArchive } from '../tar-archive.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const undo = new AsyncDisposableStack();
const { signal } = new AbortController();
const contents = new Map<string, Buffer>();
let service: Service;
let user: ServiceUser;
let server: Server;
let origin: string;
let work: string;
let tar: Buffer;
let digest: string;

beforeAll(async () => {
  work = await temporaryDirectory(undo, 'archives');
  await mkdir(join(work, 'given/etc'), { recursive: true });
  await writeFile(join(work, 'given/etc/random'), randomBytes(300_000));
  await writeFile(join(work, 'given/run'), '#!/bin/sh\n', { mode: 0o755 });
  await symlink('etc/random', join(work, 'given/link'));
  tar = execFileSync('tar', ['-C', join(work, 'given'), '-c', '.']);
  await writeFile(join(work, 'files.tar.gz'), gzipSync(tar));
  digest = (await treeDigest(join(work, 'given'), { signal })).contentDigest;
  contents.set('/files.tar.gz', gzipSync(tar));
  contents.set('/evil.tar', tarArchive([{ name: 'a' }, { name: '../../../../evil', body: Buffer.from('x') }]));
  contents.set('/disk.img', randomBytes(1_048_576));
  server = createServer((request, response) => {
    const content = contents.get(request.url ?? '');
    return content === undefined ? response.writeHead(404).end() : response.end(content);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', () => resolve());
  [service] = await Promise.all([Service.start(), promise]);
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // Safe: it listens on TCP.
  user = new ServiceUser(service);
}, 120_000);

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await service.stop();
  await undo.disposeAsync();
});

/** The directory of the files of a volume. */
function dataOf(volume: DataVolume): string {
  return join(service.state.pool, 'volumes', volume.status?.longshore?.volumeId ?? 'no volume id', 'data');
}

async function holdsTheFiles(name: string): Promise<DataVolume> {
  const volume = await user.untilPhase(name, 'Succeeded');
  expect(volume.status).toMatchObject({ progress: '100.0%', longshore: { contentDigest: digest } });
  expect((await treeDigest(dataOf(volume), { signal })).contentDigest).toBe(digest);
  expect(user.staged()).toEqual([]);
  return volume;
}

async function create(name: string, source: object, contentType = 'archive'): Promise<void> {
  const storage = { resources: { requests: { storage: '2Mi' } } };
  const { status, body } = await service.call('POST', user.volumesPath, {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name } },
    spec: { source, storage, contentType },
  });
  expect(status, JSON.stringify(body)).toBe(201);
}

describe('an import', () => {
  test('by the command brings the files, owned and permitted as a machine expects', async () => {
    const url = `${origin}/files.tar.gz`;
    const ended = await user.run('import', url, 'default/files', '--archive', '--size', '2Mi', '--wait');
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    const volume = await holdsTheFiles('files');
    expect(volume.status?.longshore).toMatchObject({ format: 'tar.gz', strategy: 'stream', verified: 'length' });
    const owner = process.geteuid?.() === 0 ? 107 : process.geteuid?.();
    const modes = [
      ['', 0o2775],
      ['run', 0o755],
      ['etc/random', 0o644],
      ['etc', 0o755],
    ] as const;
    for (const [name, mode] of modes) {
      const { mode: found, uid, gid } = lstatSync(join(dataOf(volume), name));
      expect([name, found & 0o7777, uid, gid]).toEqual([name, mode, owner, owner]);
    }
    expect(lstatSync(join(dataOf(volume), 'link')).uid).toBe(owner);
  });

  test('is shown, digested and found by the other commands', async () => {
    const data = dataOf(await user.volume('files'));
    expect(await user.run('path', 'default/files')).toMatchObject({ code: 0, stdout: `${data}\n` });
    expect((await user.run('digest', 'default/files')).stdout).toContain(digest);
    expectTold(await user.run('digest', 'default/files', '--sha256'), 'InvalidRequest');
    expect((await user.run('describe', 'default/files')).stdout).toContain(digest);
    expect((await user.run('get', 'default/files')).stdout).toContain('Succeeded');
    expect((await user.run('doctor')).code).toBe(0);
  });

  test('without a size is refused at once', async () => {
    expectTold(await user.run('import', `${origin}/files.tar.gz`, 'default/sizeless', '--archive'), 'InvalidRequest');
  });

  test('of what leads out fails once and leaves nothing', async () => {
    await create('evil', { http: { url: `${origin}/evil.tar` } });
    await user.untilPhase('evil', 'Failed');
    const volume = await user.expectFailed('evil', 'HostileArchive');
    expect(existsSync(join(dataOf(volume), 'a'))).toBe(false);
  });

  test('of a disk fails once and leaves nothing', async () => {
    await create('disk', { http: { url: `${origin}/disk.img` } });
    await user.untilPhase('disk', 'Failed');
    await user.expectFailed('disk', 'NotAnArchive');
  });

  test('of an archive where a disk is wanted fails as before', async () => {
    await create('tarred', { http: { url: `${origin}/files.tar.gz` } }, 'kubevirt');
    await user.untilPhase('tarred', 'Failed');
    await user.expectFailed('tarred', 'NotADiskImage');
  });
});

describe('an upload', () => {
  test('by the command brings the files', async () => {
    const ended = await user.run('upload', join(work, 'files.tar.gz'), 'default/sent', '--archive', '--size', '2Mi');
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    await holdsTheFiles('sent');
  });

  test.each(['/v1beta1/upload', '/v1alpha1/upload-async'])('to %s, as virtctl sends it', async (path) => {
    const name = `posted-${path.length}`;
    await create(name, { upload: {} });
    await user.untilPhase(name, 'UploadReady');
    const token = await user.token(name);
    const headers = { authorization: `Bearer ${token}` };
    const asked = await service.send('HEAD', new URL('/v1beta1/upload-async', user.uploadUrl), { headers });
    expect(asked.status).toBe(404); // so that virtctl takes the other path
    expect(await user.upload(undefined, tar, path)).toMatchObject({ status: 400 });
    expect(await user.upload(token, randomBytes(4096), path)).toMatchObject({ status: 400, fault: 'NotAnArchive' });
    expect(await user.upload(token, contents.get('/evil.tar') ?? tar, path)).toMatchObject({ fault: 'HostileArchive' });
    expect(user.staged()).toEqual([]);
    expect(await user.upload(token, tar, path)).toEqual({ status: 200, text: '', fault: undefined });
    await holdsTheFiles(name);
  });

  test('of a disk into a volume of files, or of files into one of a disk, is told before a byte is sent', async () => {
    await create('waiting', { upload: {} });
    await user.untilPhase('waiting', 'UploadReady');
    expectTold(await user.run('upload', join(work, 'files.tar.gz'), 'default/waiting'), 'InvalidRequest');
  });
});

describe('a clone', () => {
  test('has the same files', async () => {
    const ended = await user.run('clone', 'default/files', 'default/copied', '--wait');
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    const volume = await holdsTheFiles('copied');
    expect(volume.status?.longshore).toMatchObject({ format: 'clone', verified: 'digest' });
    expect(await readFile(join(dataOf(volume), 'run'), 'utf8')).toBe('#!/bin/sh\n');
  });

  test('into a volume of a disk is refused', async () => {
    await create('other', { pvc: { namespace: 'default', name: 'files' } }, 'kubevirt');
    await until('it says why', async () => JSON.stringify((await user.volume('other')).status).includes('contentType'));
    expect((await user.volume('other')).status?.phase).not.toBe('Succeeded');
  });
});

test('what is deleted is gone with all of its files', async () => {
  const data = dataOf(await user.volume('copied'));
  expect((await user.run('delete', 'default/copied')).code).toBe(0);
  await until('its directory is gone', async () => !existsSync(data));
});
