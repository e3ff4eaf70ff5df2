// A service of an ordinary user, in a directory of theirs: it serves, an import and an upload work, and every file is that user's. Where the tests run
// as root the service is made to run as somebody else.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileServer } from '../hostile/hostile-server.ts';
import { Service, until } from '../service-fixture.ts';
import { commandProgram, type Ended, endOf, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
const disk = Buffer.concat([randomBytes(MiB), Buffer.alloc(2 * MiB), randomBytes(MiB)]);
let home: string;
let share: string;
let service: Service;
let user: ServiceUser;
let server: HostileServer;
let owner: number;

/** A checkout below a directory of root's alone cannot be run by anybody else, and then there is nothing to try. */
function canRunIt(): boolean {
  if (!isRoot) return true;
  return spawnSync('test', ['-r', commandProgram], { uid: nobody, gid: nobody }).status === 0;
}

describe.skipIf(!canRunIt())('a service of an ordinary user', () => {
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'ls-home-'));
    share = join(home, '.local', 'share');
    execFileSync('mkdir', ['-p', share]);
    await writeFile(join(home, 'disk.raw'), disk);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'disk.qcow2'], { cwd: home });
    if (isRoot) {
      for (const name of ['', '.local', '.local/share']) chownSync(join(home, name), nobody, nobody);
    }
    owner = lstatSync(share).uid;
    server = await HostileServer.start();
    server.set('qcow2', readFileSync(join(home, 'disk.qcow2')));
    // The directory that the service chooses by itself for them.
    service = await Service.start({
      directory: join(share, 'longshore'),
      environment: { HOME: home, XDG_DATA_HOME: share },
      ...(isRoot ? { identity: { uid: nobody, gid: nobody } } : {}),
    });
    user = new ServiceUser(service);
  }, 120_000);

  afterAll(async () => {
    await service.end('SIGTERM');
    await server.stop();
    await rm(home, { recursive: true });
  });

  /** A command of that user, who names no directory. */
  function run(...words: string[]): Promise<Ended> {
    const { LONGSHORE_DATA: _, ...environment } = process.env;
    const env = { ...environment, HOME: home, XDG_DATA_HOME: share };
    const identity = isRoot ? { uid: nobody, gid: nobody } : {};
    return endOf(
      spawn(process.execPath, [commandProgram, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'], ...identity }),
    );
  }

  test('no process of the service is root', () => {
    const pids = [service.pid, ...Object.values(service.state.processes).map(({ pid }) => pid)];
    expect(pids).toHaveLength(5);
    for (const pid of pids) {
      expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(
        new RegExp(`^Uid:\t${owner}\t${owner}\t${owner}`, 'm'),
      );
    }
  });

  test('an import and an upload become disks', async () => {
    const imported = await run('import', server.url('ranges', 'qcow2'), 'default/imported', '--size', '4Mi', '--wait');
    expect(imported).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    const uploaded = await run('upload', join(home, 'disk.qcow2'), 'default/uploaded');
    expect(uploaded).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    for (const name of ['imported', 'uploaded']) {
      expect(readFileSync(user.diskOf(await user.volume(name))).equals(disk)).toBe(true);
    }
    expect(user.staged()).toEqual([]);
  });

  test('a clone is a copy', async () => {
    expect(await run('clone', 'default/imported', 'default/copy', '--wait')).toMatchObject({ code: 0 });
    expect(readFileSync(user.diskOf(await user.volume('copy'))).equals(disk)).toBe(true);
  });

  test("every file is that user's, and secrets are nobody else's to read", () => {
    const files = readdirSync(service.directory, { recursive: true, encoding: 'utf8' });
    expect(files.length).toBeGreaterThan(20);
    const strange = files.filter((file) => lstatSync(join(service.directory, file)).uid !== owner);
    expect(strange).toEqual([]);
    const readable = files.filter((file) => /kubeconfig$|\.key$/.test(file));
    expect(readable.length).toBeGreaterThan(3);
    expect(readable.filter((file) => (lstatSync(join(service.directory, file)).mode & 0o077) !== 0)).toEqual([]);
  });

  test('delete leaves nothing', async () => {
    expect(await run('delete', 'default/imported', 'default/uploaded', 'default/copy')).toMatchObject({ code: 0 });
    await until('the pool is empty', () => readdirSync(join(service.state.pool, 'volumes')).length === 0);
    expect((await run('doctor')).stdout).toContain('nothing lies about');
  });
});
