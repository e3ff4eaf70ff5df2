// What the command does where its output goes nowhere: a real process with a reader that went away, a full disk, and no stdout at all.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const cli = fileURLToPath(new URL('../../main/cli.ts', import.meta.url));
const longshore = fileURLToPath(new URL('../../bin/longshore', import.meta.url));

function shell(script: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script, ...words], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('a reader that went away ends the command without a word', async () => {
  const child = spawn(process.execPath, [cli, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  expect(said).toBe('');
  expect(code).toBe(141);
});

test('a full disk is told in three lines', () => {
  const { status, stderr } = shell('"$0" "$1" --help > /dev/full', process.execPath, cli);
  expect(stderr).toMatch(/^OutputBroken: .*\n {2}ENOSPC: .*\n {2}Make room .*\n$/);
  expect(status).toBe(9);
});

test('output and errors that both go to a full disk still end with the code of the fault', () => {
  expect(shell('"$0" "$1" --help > /dev/full 2>&1', process.execPath, cli).status).toBe(9);
});

test('a stdout that is closed is told before anything is asked for', () => {
  const { status, stderr } = shell('"$0" --help >&-', longshore);
  expect(stderr).toBe('OutputBroken: The output of the command cannot be written: stdout is closed.\n');
  expect(status).toBe(9);
});
