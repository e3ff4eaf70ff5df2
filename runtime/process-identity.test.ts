import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { identityOf, isAlive, killIfSame } from './process-identity.ts';

/** Its first thread ends at once, so that the process looks like a zombie; the other one writes until it is killed. */
const program = `
#include <pthread.h>
#include <unistd.h>
static void *writeOn(void *nothing) {
  for (;;) { write(1, "x", 1); usleep(1000); }
  return nothing;
}
int main(void) {
  pthread_t other;
  pthread_create(&other, 0, writeOn, 0);
  pthread_exit(0);
}
`;
const hasCompiler = spawnSync('cc', ['--version']).status === 0;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-process-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test('a process that is not there has none', () => {
  expect(identityOf(2 ** 22 + 1)).toBeUndefined();
});

test('a stranger with the same number is not killed', async () => {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const ended = once(child, 'close');
  await once(child, 'spawn');
  const identity = identityOf(child.pid ?? 0);
  if (identity === undefined) throw new Error('sleep did not start');
  expect(await killIfSame({ ...identity, startTime: `${identity.startTime}0` })).toBe(false);
  expect(isAlive(identity)).toBe(true);
  expect(await killIfSame(identity)).toBe(true);
  expect(await killIfSame(identity)).toBe(false);
  expect(await ended).toEqual([null, 'SIGKILL']);
});

test.skipIf(!hasCompiler)(
  'a process whose first thread has ended lives while another one writes, and is killed with it (needs a C compiler)',
  async () => {
    const path = join(directory, 'writes-on');
    execFileSync('cc', ['-x', 'c', '-pthread', '-o', path, '-'], { input: program });
    const child = spawn(path, { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = once(child, 'close');
    await once(child.stdout, 'data');
    await expect.poll(() => readFileSync(`/proc/${child.pid}/stat`, 'latin1')).toContain(') Z ');
    const identity = identityOf(child.pid ?? 0);
    expect(identity && isAlive(identity)).toBe(true);
    expect(identity && (await killIfSame(identity))).toBe(true);
    expect(await ended).toEqual([null, 'SIGKILL']);
  },
);
