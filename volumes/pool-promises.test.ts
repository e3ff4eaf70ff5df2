// The promises of a pool under everything at once: a process reserves and deletes 200 volumes, each asked for more than once, and is killed at any moment;
// the next goes on with what is there. At no moment may the records say more than the pool has.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { TemporaryPool } from '../test/temporary-pool.ts';

const rounds = 6;
const volumes = 200;

interface Told {
  limitBytes: number;
  reservedBytes: number;
  made: number;
}

/** Sum of the sizes that the records on disk tell. */
async function promisedOnDisk(directory: string): Promise<number> {
  let sum = 0;
  for (const id of await readdir(join(directory, 'volumes')).catch(() => [])) {
    // It may be deleted meanwhile.
    const text = await readFile(join(directory, 'volumes', id, 'volume.json'), 'utf8').catch(() => undefined);
    // Safe: the pool's own record.
    if (text !== undefined) sum += (JSON.parse(text) as { sizeBytes: number }).sizeBytes;
  }
  return sum;
}

/** @param killAfterMs after its first answer. @returns the last that it told before it was killed */
async function storm(directory: string, seed: number, killAfterMs: number | undefined): Promise<Told | undefined> {
  const program = join(import.meta.dirname, '../test/promise-storm.ts');
  const child = spawn(process.execPath, [program, directory, String(seed), String(volumes)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let kill: NodeJS.Timeout | undefined;
  let last: Told | undefined;
  // Safe: the storm's own lines.
  for await (const line of createInterface(child.stdout)) {
    last = JSON.parse(line) as Told;
    if (killAfterMs !== undefined) kill ??= setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  clearTimeout(kill);
  return last;
}

test('200 volumes at once, asked again and again, with SIGKILL at any moment: promises never pass what the pool has', async () => {
  await using place = await TemporaryPool.make();
  const told: Told[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const isLast = round === rounds - 1;
    const last = await storm(place.directory, round + 1, isLast ? undefined : Math.random() * 600);
    if (last !== undefined) told.push(last);
    const onDisk = await promisedOnDisk(place.directory);
    // The disk is not ours alone: a limit is that of the moment at which a process began.
    expect(onDisk).toBeLessThanOrEqual(Math.max(...told.map(({ limitBytes }) => limitBytes)));
    for (const { limitBytes, reservedBytes } of told) expect(reservedBytes).toBeLessThanOrEqual(limitBytes);
  }
  const end = told.at(-1);
  expect(end?.made).toBeGreaterThan(0);
  // What is promised is what the records say, and nothing is left of those that were killed.
  expect(end?.reservedBytes).toBe(await promisedOnDisk(place.directory));
  const pool = await place.open();
  expect((await pool.usage()).reservedBytes).toBe(end?.reservedBytes);
  await expect.poll(() => place.files('staging'), { timeout: 30_000 }).toEqual([]);
});
