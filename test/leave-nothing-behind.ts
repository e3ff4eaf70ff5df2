// Loaded before each file of tests: gives it a temporary directory of its own, and fails it where its tests leave something there.
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';

const shared = tmpdir();
const directory = await mkdtemp(join(shared, 't-'));
// As the shared one is: tests run services as other users, too.
await chmod(directory, 0o1777);
process.env['TMPDIR'] = directory;

// Hooks end in the reverse order of their beginning, so this one comes after those of the file.
afterAll(async () => {
  const left = await readdir(directory);
  await rm(directory, { recursive: true, force: true });
  process.env['TMPDIR'] = shared;
  expect(left, 'what the tests of this file left in the temporary directory').toEqual([]);
});
