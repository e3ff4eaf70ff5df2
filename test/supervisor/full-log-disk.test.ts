// A service whose logs cannot be written: it works, starts again what dies, and ends in order.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Service, until } from '../service-fixture.ts';

test('a disk that is full for logs keeps nobody from working, restarting and stopping', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ls-full-'));
  await mkdir(join(directory, 'log'));
  for (const name of ['up', 'api', 'uploadproxy', 'worker']) {
    await symlink('/dev/full', join(directory, 'log', `${name}.log`));
  }
  const service = await Service.start({ directory });
  for (const name of ['worker', 'uploadproxy', 'api']) {
    const before = service.state.processes[name]?.pid ?? 0;
    process.kill(before, 'SIGKILL');
    await until(`${name} runs again`, () => service.state.processes[name]?.pid !== before);
  }
  await until('the worker is ready', async () => (await service.probe('worker', 'readyz')).status === 200);
  const { text } = await service.probe('api', 'metrics');
  expect(text).toMatch(/^longshore_log_lines_dropped_total [1-9]/m);
  expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(existsSync(join(service.directory, 'up.json'))).toBe(false);
  await rm(directory, { recursive: true });
});
