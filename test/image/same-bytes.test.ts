// The same content gives the same image, whoever's umask, clock and order of writing it comes from. That two clones of a commit give the same
// digest follows where Debian's packages, the lockfile and the sources are the same.
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { packLayer } from '../../scripts/image/layer.ts';
import { type ImageFacts, writeOciArchive } from '../../scripts/image/oci-archive.ts';

const date = 1_700_000_000;
const facts: ImageFacts = {
  name: 'longshore',
  version: '1.2.3',
  description: 'for a test',
  licenses: 'Apache-2.0',
  revision: 'none',
  date,
  user: '107:107',
  entrypoint: ['/usr/bin/longshore'],
  environment: { PATH: '/usr/bin' },
  ports: [7440],
};

interface Builder {
  umask: number;
  /** Seconds since 1970. */
  clock: number;
  reversed: boolean;
  text?: string;
}

const one: Builder = { umask: 0o022, clock: date + 10, reversed: false };
const another: Builder = { umask: 0o077, clock: date + 99_999, reversed: true };
let scratch = '';
let builds = 0;

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'longshore-same-bytes-'));
});

afterEach(() => rm(scratch, { recursive: true, force: true }));

/** @returns the digest of the image and the bytes of its archive */
async function build(builder: Builder): Promise<{ digest: string; archive: Buffer }> {
  const place = join(scratch, String(++builds));
  const root = join(place, 'root');
  await writeTree(root, builder);
  const owned = { path: 'data', uid: 107, gid: 107 };
  const layer = await packLayer({ name: 'layer', root, date, owned }, place);
  const digest = await writeOciArchive(facts, [layer], join(place, 'layout'), join(place, 'archive'));
  return { digest, archive: await readFile(join(place, 'archive')) };
}

/** As a builder with that umask and clock leaves it; the worker that runs this file has no umask of its own to set. */
async function writeTree(root: string, { umask, clock, reversed, text = 'as it is' }: Builder): Promise<void> {
  const folders = ['bin', 'data', 'etc'];
  const files: [string, number][] = [
    ['bin/mount', 0o4755],
    ['bin/run', 0o755],
    ['etc/hosts', 0o644],
  ];
  for (const folder of reversed ? folders.toReversed() : folders) await mkdir(join(root, folder), { recursive: true });
  await symlink('run', join(root, 'bin/link'));
  for (const [path, mode] of reversed ? files.toReversed() : files) {
    await writeFile(join(root, path), text);
    await chmod(join(root, path), mode & ~umask);
    await utimes(join(root, path), clock, clock);
  }
  for (const folder of folders) {
    await chmod(join(root, folder), 0o777 & ~umask);
    await utimes(join(root, folder), clock, clock);
  }
}

test('another umask, clock and order of writing give the same archive, byte for byte', async () => {
  const first = await build(one);
  const second = await build(another);
  expect(second.digest).toBe(first.digest);
  expect(second.archive.equals(first.archive)).toBe(true);
});

test('another byte in a file gives another digest', async () => {
  expect((await build({ ...one, text: 'otherwise' })).digest).not.toBe((await build(one)).digest);
});
