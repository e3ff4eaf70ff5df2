import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLogFile } from './log-file.ts';
import { LogWriter } from './log-writer.ts';
import { createLogger } from './logger.ts';
import { metrics } from './metrics.ts';

let directory: string;
let descriptor: number | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-log-'));
});
afterEach(async () => {
  if (descriptor !== undefined) closeSync(descriptor);
  descriptor = undefined;
  await rm(directory, { recursive: true });
});

async function dropped(): Promise<number> {
  return Number(/^longshore_log_lines_dropped_total (\d+)$/m.exec(await metrics.text())?.[1] ?? 0);
}

test('a line that a full disk does not take is dropped and counted', async () => {
  descriptor = openSync('/dev/full', 'w');
  const logger = createLogger({ logLevel: 'info' }, 'test', new LogWriter({ descriptor }));
  const before = await dropped();
  for (let line = 0; line < 100; line += 1) logger.info({ line }, 'lost');
  logger.fatal('lost too');
  expect(await dropped()).toBe(before + 101);
});

test('a running log stays below its limit, with the lines before in one more file, and none is lost between', async () => {
  const path = join(directory, 'worker.log');
  descriptor = openLogFile(path);
  const writer = new LogWriter({ descriptor, path, largestBytes: 10_000 });
  const line = (number: number): string => `${String(number).padStart(6, '0')} ${'x'.repeat(92)}\n`;
  for (let number = 0; number < 1_000; number += 1) {
    writer.write(line(number));
    expect(statSync(path).size).toBeLessThanOrEqual(10_000);
  }
  expect((await readdir(directory)).sort()).toEqual(['worker.log', 'worker.log.1']);
  const [former, latest] = [`${path}.1`, path].map((name) => readFileSync(name, 'utf8'));
  const kept = `${former}${latest}`
    .trimEnd()
    .split('\n')
    .map((text) => Number(text.slice(0, 6)));
  expect(kept.length).toBeGreaterThanOrEqual(100);
  expect(kept).toEqual(kept.map((_, index) => 1_000 - kept.length + index));
  // The runtime's own words come through the same descriptor and go to the end.
  writeSync(descriptor, 'last words\n');
  expect(readFileSync(path, 'utf8')).toMatch(/x\nlast words\n$/);
});

test('what was there before counts', async () => {
  const path = join(directory, 'worker.log');
  descriptor = openLogFile(path);
  writeSync(descriptor, 'x'.repeat(5_000));
  const writer = new LogWriter({ descriptor, path, largestBytes: 5_000 });
  writer.write('a line\n');
  expect(readFileSync(path, 'utf8')).toBe('a line\n');
  expect(statSync(`${path}.1`).size).toBe(5_000);
});

test('a descriptor that is not the file is left alone', async () => {
  const path = join(directory, 'worker.log');
  descriptor = openLogFile(join(directory, 'elsewhere.log'));
  const writer = new LogWriter({ descriptor, path, largestBytes: 10 });
  for (let line = 0; line < 10; line += 1) writer.write('more than ten bytes\n');
  expect(await readdir(directory)).toEqual(['elsewhere.log']);
});

test('a log file that cannot be opened swallows the lines', async () => {
  await mkdir(join(directory, 'worker.log'));
  const path = join(directory, 'worker.log');
  descriptor = openLogFile(path);
  new LogWriter({ descriptor, path, largestBytes: 10 }).write('more than ten bytes\n');
  expect(await readdir(path)).toEqual([]);
});
