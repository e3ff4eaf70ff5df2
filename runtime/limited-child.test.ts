import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { type LimitedChildOptions, spawnLimited } from './limited-child.ts';
import { identityOf, isAlive } from './process-identity.ts';
import { findPrograms } from './programs.ts';

const root = process.geteuid?.() === 0;

function shell(script: string, more: Partial<LimitedChildOptions> = {}) {
  return spawnLimited({
    program: '/bin/sh',
    args: ['-c', script],
    signal: new AbortController().signal,
    limits: { addressSpaceMiB: 512, cpuSeconds: 60 },
    isolate: false,
    stdin: 'ignore',
    stdout: 'pipe',
    ...more,
  });
}

async function outputOf(script: string, more: Partial<LimitedChildOptions> = {}): Promise<string> {
  const child = shell(script, more);
  const output = child.stdout === null ? '' : await text(child.stdout);
  await child.done;
  return output;
}

describe('a limited child', () => {
  test('is the program itself, and knows nothing of our environment', async () => {
    const child = shell('echo $$; env');
    const lines = child.stdout === null ? '' : await text(child.stdout);
    expect(lines.split('\n')[0]).toBe(String(child.pid));
    expect(lines).not.toContain('HOME=');
    await child.done;
  });

  test.skipIf(!root)('isolated, is user 107 without rights, groups or network (needs root)', async () => {
    const output = await outputOf('id -u; id -G; grep CapEff /proc/self/status; tail -n +3 /proc/net/dev', {
      isolate: true,
    });
    expect(output).toMatch(/^107\n107\nCapEff:\t0000000000000000\n +lo:[ 0]+\n$/);
  });

  test.skipIf(!root)(
    'isolated, opens anew the descriptors it is given, whatever the path allows (needs root)',
    async () => {
      const place = await mkdtemp(join(tmpdir(), 'longshore-child-')); // 0700
      const path = join(place, 'file');
      const file = await open(path, 'wx+', 0o660);
      await file.chown(107, 107);
      try {
        await outputOf('echo written > /proc/self/fd/3', { isolate: true, descriptors: [file.fd] });
        expect((await stat(path)).size).toBe(8);
        await expect(outputOf(`echo again > ${path}`, { isolate: true })).rejects.toMatchObject({ name: 'Fault' });
      } finally {
        await file.close();
        await rm(place, { recursive: true });
      }
    },
  );

  test('that fails says what it said, under the code that was asked', async () => {
    const child = shell('echo the words >&2; exit 3', { failure: 'CorruptCompression' });
    await expect(child.done).rejects.toMatchObject({
      code: 'CorruptCompression',
      detail: expect.stringContaining('the words'),
      facts: { exitCode: 3 },
    });
  });

  test('may be judged by its caller first', async () => {
    const child = shell('echo memory limit >&2; exit 1', {
      classify: ({ exitCode, stderr }) => (exitCode === 1 && /memory limit/.test(stderr) ? 'DecoderMemory' : undefined),
    });
    await expect(child.done).rejects.toMatchObject({ code: 'DecoderMemory' });
  });

  test('keeps only the tail of what it says', async () => {
    const child = shell('head -c 100000 /dev/zero | tr "\\0" x >&2; echo END >&2; exit 1');
    const fault: unknown = await child.done.catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(Fault);
    if (!(fault instanceof Fault)) return;
    expect(fault.detail.length).toBeLessThan(9000);
    expect(fault.detail).toMatch(/END$/);
  });

  test('stops at its limits: CPU, file size, memory', async () => {
    const place = await mkdtemp(join(tmpdir(), 'longshore-child-'));
    try {
      const busy = shell('while :; do :; done', { limits: { addressSpaceMiB: 512, cpuSeconds: 1 } });
      const long = shell(`exec dd if=/dev/zero of=${place}/file bs=64k count=64 status=none`, {
        limits: { addressSpaceMiB: 512, cpuSeconds: 60, fileSizeBytes: 1_048_576 },
      });
      const greedy = shell('exec dd if=/dev/zero of=/dev/null bs=900M count=1');
      await expect(busy.done).rejects.toMatchObject({ code: 'TimedOut' });
      await expect(long.done).rejects.toMatchObject({ code: 'ImageTooLarge' });
      await expect(greedy.done).rejects.toMatchObject({ code: 'OutOfMemory' });
      expect((await stat(join(place, 'file'))).size).toBe(1_048_576);
    } finally {
      await rm(place, { recursive: true });
    }
  });

  test('is gone when the abort has been told, with the reason of the abort', async () => {
    const stop = new AbortController();
    const child = shell('exec sleep 600', { signal: stop.signal });
    const identity = identityOf(child.pid);
    stop.abort(new Fault('TimedOut', 'too slow'));
    await expect(child.done).rejects.toMatchObject({ code: 'TimedOut', detail: 'too slow' });
    expect(identity !== undefined && isAlive(identity)).toBe(false);
    expect(() => shell('true', { signal: stop.signal })).toThrow(expect.objectContaining({ code: 'TimedOut' }));
  });

  test('is ended by kill, which waits', async () => {
    const child = shell('exec sleep 600');
    const identity = identityOf(child.pid);
    await child.kill(new Fault('StaleAttempt', 'fence moved on'));
    expect(identity !== undefined && isAlive(identity)).toBe(false);
    await expect(child.done).rejects.toMatchObject({ code: 'StaleAttempt' });
  });

  test('that nobody else ended was killed by the kernel', async () => {
    const child = shell('kill -KILL $$');
    await expect(child.done).rejects.toMatchObject({ code: 'OutOfMemory' });
  });

  test('that is not installed names its package', async () => {
    const child = spawnLimited({
      ...{ program: 'zstd-of-another-name', args: [], isolate: true, stdin: 'ignore', stdout: 'ignore' },
      signal: new AbortController().signal,
      limits: { addressSpaceMiB: 512, cpuSeconds: 60 },
    });
    await expect(child.done).rejects.toMatchObject({ code: 'ProgramMissing' });
  });

  test.each([false, true])('dies with its parent (isolated: %s)', async (isolate) => {
    const script = `
      import { spawnLimited } from ${JSON.stringify(new URL('./limited-child.ts', import.meta.url).href)};
      const child = spawnLimited({ program: '/bin/sh', args: ['-c', 'echo ready; exec sleep 600'], isolate: ${isolate},
        signal: new AbortController().signal, limits: { addressSpaceMiB: 512, cpuSeconds: 60 }, stdin: 'ignore', stdout: 'pipe' });
      child.stdout.once('data', () => console.log(child.pid));
      setInterval(() => {}, 1000);
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(parent.stdout, 'data');
    const child = identityOf(Number(String(line)));
    if (child === undefined) throw new Error('the child did not start');
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(child), { timeout: 5000 }).toBe(false);
  });
});

describe('finding programs', () => {
  test('what is missing is named with its Debian package', () => {
    expect(() => findPrograms(['cp', 'qemu-img', ['igzip', 'pigz']], '/nonexistent')).toThrow(
      expect.objectContaining({ code: 'ProgramMissing', detail: expect.stringMatching(/qemu-utils.*isal.*pigz/) }),
    );
  });

  test('one of several is enough, best first; directories for administrators are searched too', () => {
    const programs = findPrograms(['cp', ['igzip', 'pigz', 'gzip']], '/usr/bin:/bin');
    expect(programs.path('cp')).toMatch(/\/cp$/);
    expect(programs.oneOf('gzip', 'pigz').name).toBe('gzip');
    expect(findPrograms([], '/bin').has('losetup')).toBe(true);
    expect(() => findPrograms([], '/nonexistent').path('qemu-img')).toThrow('qemu-utils');
  });
});
