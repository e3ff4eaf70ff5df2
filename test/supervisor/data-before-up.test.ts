// The shell script in front of everything: `--data DIR` may stand before `up`, as before every other command; no process takes words that it does
// not know.
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const longshore = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'bin/longshore');

test.each([
  [['up', '--data', '/dev/null/no where']],
  [['--data', '/dev/null/no where', 'up']],
  [['--data=/dev/null/no where', 'up', '--listen', '127.0.0.1:0']],
])('%j starts the service in that directory', async (words) => {
  // No directory can be made there: the service says which one and ends.
  const failed = run(longshore, words, { timeout: 30_000 });
  await expect(failed).rejects.toMatchObject({
    stderr: expect.stringMatching(/^InvalidSetting: .*\/dev\/null\/no where/s),
  });
});

test('a directory that is called up is no command', async () => {
  const { stdout } = await run(longshore, ['--data', 'up', '--help']);
  expect(stdout).toContain('Usage: longshore');
  expect(stdout).not.toContain('Serves until stopped');
});

test.each([
  [['worker', '--foo']],
  [['uploadproxy', 'now']],
  [['cluster', 'api', '--port', '1']],
  [['cluster', 'store']],
  [['cluster']],
])('%j is refused, and starts nothing', async (words) => {
  await expect(run(longshore, words, { timeout: 30_000 })).rejects.toMatchObject({ code: 2, stdout: '' });
});

test.each([[['worker', '--help']], [['cluster', 'controller', '-h']]])(
  '%j tells in one line what it is',
  async (words) => {
    const { stdout } = await run(longshore, words, { timeout: 30_000 });
    expect(stdout).toContain(`Usage: longshore ${words.slice(0, -1).join(' ')}`);
    expect(stdout).toContain('settings come from the environment');
  },
);
