// What a newcomer does wrong on the command line, through the whole service: each is told with its exit code, and nothing is said that is not so.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Service, until } from '../service-fixture.ts';
import { commandProgram, endOf, expectTold, ServiceUser } from './service-user.ts';

let service: Service;
let user: ServiceUser;
let work: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-turns-'));
  service = await Service.start();
  user = new ServiceUser(service, 'turns');
  expect(await user.run('blank', 'turns/done', '--size', '1Mi', '--wait')).toMatchObject({ code: 0 });
}, 120_000);

afterAll(async () => {
  await service.stop();
  await rm(work, { recursive: true });
});

test('uploading a file that is not there is a wrong request, not a missing volume', async () => {
  expectTold(await user.run('upload', join(work, 'missing.raw'), 'turns/up'), 'InvalidRequest');
});

test('a text file is no disk image, and no volume is made for it', async () => {
  const path = join(work, 'notes.txt');
  await writeFile(path, 'not an image');
  expectTold(await user.run('upload', path, 'turns/up'), 'NotADiskImage');
  expectTold(await user.run('get', 'turns/up'), 'NotFound');
});

test('a raw disk that is smaller than the least volume is uploaded without a size', async () => {
  const path = join(work, 'small.raw');
  await writeFile(path, randomBytes(4096));
  expect(await user.run('upload', path, 'turns/small')).toMatchObject({ code: 0 });
});

test('no token is printed that no upload could use', async () => {
  const path = join(work, 'once.raw');
  await writeFile(path, randomBytes(4096));
  expect(await user.run('upload', path, 'turns/once')).toMatchObject({ code: 0 });
  expectTold(await user.run('token', 'turns/once'), 'UploadFinished');
  expectTold(await user.run('token', 'turns/done'), 'NotAnUploadTarget');
  expectTold(await user.run('token', 'turns/none'), 'NotFound');
});

test('a name is looked for in the namespace that -n names', async () => {
  for (const command of ['get', 'events']) {
    const { code, stdout } = await user.run(command, 'done', '-n', 'turns', '-o', 'json');
    expect([code, stdout]).toEqual([0, expect.stringContaining('"namespace": "turns"')]);
    expectTold(await user.run(command, 'turns/done', '-n', 'default'), 'InvalidRequest');
  }
  expectTold(await user.run('get', 'done'), 'NotFound');
});

test('a digest of neither file nor volume says so of both', async () => {
  const ended = await user.run('digest', 'turns/none');
  expectTold(ended, 'NotFound');
  expect(ended.stderr).toContain('no such file, and no volume turns/none');
});

test('what is done is not said to be cancelled', async () => {
  const { code, stdout } = await user.run('cancel', 'turns/done');
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: 'turns/done: is Succeeded already; there is nothing to cancel\n',
  });
});

test('a name that is not there does not keep the others from being deleted', async () => {
  for (const name of ['one', 'two']) await user.run('blank', `turns/${name}`, '--size', '1Mi', '--wait');
  const { code, stdout, stderr } = await user.run('delete', 'turns/one', 'turns/none', 'turns/two');
  expect({ code, stdout }).toEqual({ code: 3, stdout: 'turns/one: deleted\nturns/two: deleted\n' });
  expect(stderr).toContain('"none" not found');
});

test('-o yaml shows the object as kubectl does, without managedFields', async () => {
  const { stdout } = await user.run('get', 'turns/done', '-o', 'yaml');
  expect(stdout).toContain('name: done');
  expect(stdout).not.toContain('managedFields');
});

test('a clone of what is not there says what it waits for, and goes on when the command is stopped', async () => {
  const env = { ...process.env, LONGSHORE_DATA: service.directory };
  const words = ['clone', 'turns/none', 'turns/copy', '--wait'];
  const child = spawn(process.execPath, [commandProgram, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const ended = endOf(child);
  await until('it tells what it waits for', async () => said.includes('waits: CloneWithoutSource'));
  expectTold(await user.run('path', 'turns/copy'), 'NotFound');
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  expect(code).toBe(10);
  expect(stderr).toContain('goes on');
  expect(stderr).not.toContain('cancelled');
});

test('a volume that failed has no path; its fault is told instead', async () => {
  await user.run('import', `${service.state.api}/none`, 'turns/failed', '--size', '1Mi', '--wait');
  const { code, stdout } = await user.run('path', 'turns/failed');
  expect({ code, stdout }).toEqual({ code: 6, stdout: '' });
});
