// Logs of processes that run for long: each moves its full file aside by itself.
import { statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Service } from '../service-fixture.ts';

test('a log that gets full while its process runs is moved aside', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ls-log-'));
  await mkdir(join(directory, 'log'));
  const paths = ['up', 'api', 'uploadproxy', 'worker'].map((name) => join(directory, 'log', `${name}.log`));
  // The next line is one too many.
  const full = 16 * 1_048_576;
  for (const path of paths) await writeFile(path, Buffer.alloc(full, 'x'));
  const service = await Service.start({ directory });
  expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null });
  for (const path of paths) {
    expect(statSync(`${path}.1`).size).toBe(full);
    expect(statSync(path).size).toBeLessThan(100_000);
  }
  await rm(directory, { recursive: true });
});
