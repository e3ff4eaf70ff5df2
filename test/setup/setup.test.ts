// scripts/setup.sh on a machine that has everything already, which is the machine that runs the tests.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const run = promisify(execFile);

test('the scripts are POSIX shell that a shell can read', async () => {
  for (const script of ['scripts/setup.sh', '.ci/run', 'bin/longshore']) {
    expect(await readFile(script, 'utf8')).toMatch(/^#!\/bin\/sh\n/);
    await run('sh', ['-n', script]);
  }
});

test('where nothing is missing it changes nothing and says one sentence', async () => {
  const before = await readFile('node_modules/.package-lock.json', 'utf8');
  await run('sh', ['scripts/setup.sh']);
  const { stdout, stderr } = await run('sh', ['scripts/setup.sh']);
  expect(stdout).toMatch(/^setup: ready, with Node 24\.\d+\.\d+\.\n$/);
  expect(stderr).toBe('');
  expect(await readFile('node_modules/.package-lock.json', 'utf8')).toBe(before);
});

test('an unknown option is refused with the known ones', async () => {
  await expect(run('sh', ['scripts/setup.sh', '--fly'])).rejects.toMatchObject({
    code: 1,
    stderr: 'setup: unknown option --fly; known are --build, --demo, --test, --bench, --cluster and --image.\n',
  });
});

describe('a machine that lacks programs', () => {
  let bin = '';

  beforeEach(async () => {
    bin = await mkdtemp(join(tmpdir(), 'longshore-setup-'));
    for (const name of ['dirname', 'uname', 'cat', 'find', 'sha256sum', 'flock', 'readlink', 'mkdir', 'ln']) {
      await symlink(join('/usr/bin', name), join(bin, name));
    }
    await writeFile(join(bin, 'id'), '#!/bin/sh\necho 1000\n', { mode: 0o755 });
  });

  afterEach(() => rm(bin, { recursive: true }));

  const setup = () => run('/bin/sh', ['scripts/setup.sh'], { env: { PATH: bin } });

  test('is told the line to run where nobody may install', async () => {
    await symlink('/bin/false', join(bin, 'apt-get'));
    await expect(setup()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^setup: run as root: apt-get install --no-install-recommends qemu-utils redis-server [^\n]+\n$/,
      ),
    });
  });

  test('is told the packages where there is no apt-get', async () => {
    await expect(setup()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no apt-get; install what Debian calls qemu-utils'),
    });
  });
});

test('the lockfile names no download address', async () => {
  expect(await readFile('package-lock.json', 'utf8')).not.toMatch(/"resolved": "https?:/);
  expect(await readFile('.npmrc', 'utf8')).not.toMatch(/:\/\//);
});
