// A process whose start waits for something that never comes still ends when it is asked to, and when something fails that nobody caught.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const lifecycle = join(import.meta.dirname, '../../runtime/lifecycle.ts');

/** Runs a start, tells `begun`, and shows what the process says until its end. */
async function runStart(body: string, act: (pid: number) => void): Promise<{ code: number | null; said: string }> {
  const program = `
    import { runProcess } from ${JSON.stringify(lifecycle)};
    const logger = { info() {}, fatal() {}, error({ err }, why) { console.log(why + ':', err.code); } };
    await runProcess(async ({ signal, undo }) => {
      undo.defer(() => console.log('undone'));
      console.log('begun');
      ${body}
    }, { logger, stopLimitMs: 300, report: false, onFault: (fault) => console.log(fault.code, fault.detail) });`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let said = '';
  let acted = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (acted || !said.includes('begun')) return;
    acted = true;
    act(child.pid ?? 0);
  });
  const [code] = await ended;
  return { code, said };
}

const never = 'setInterval(() => undefined, 1_000); await new Promise(() => undefined);';

test('SIGTERM ends it without a fault', async () => {
  const { code, said } = await runStart(never, (pid) => process.kill(pid, 'SIGTERM'));
  expect({ code, said }).toEqual({ code: 0, said: 'begun\nundone\n' });
});

test('a rejection that nobody caught ends it with a fault', async () => {
  const { code, said } = await runStart(`Promise.reject(new Error('lost')); ${never}`, () => undefined);
  expect(said).toBe('begun\nundone\nInternal lost\n');
  expect(code).toBeGreaterThan(0);
});

test('one that ends by the signal has its own time for it', async () => {
  const body = `
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    undo.defer(() => console.log('the later part too'));
    signal.throwIfAborted();`;
  const { code, said } = await runStart(`const hold = setInterval(() => undefined, 1_000); ${body}`, (pid) => {
    process.kill(pid, 'SIGTERM');
  });
  expect({ code, said }).toEqual({ code: 0, said: 'begun\nthe later part too\nundone\n' });
});

const stuck = 'undo.defer(() => new Promise(() => setInterval(() => undefined, 1_000)));';

test('SIGTERM ends it with TimedOut where stopping takes too long', async () => {
  const { code, said } = await runStart(`${stuck} ${never}`, (pid) => process.kill(pid, 'SIGTERM'));
  expect({ code, said }).toEqual({ code: 10, said: 'begun\nTimedOut stopping took longer than 300 ms\n' });
});

test('what ended it is told, and not that stopping took too long afterwards', async () => {
  const body = `
    ${stuck}
    const lost = new Error('the disk is gone');
    return { addresses: {}, failed: Promise.reject(lost) };`;
  const { code, said } = await runStart(body, () => undefined);
  expect(said).toBe('begun\nstopping failed, too: TimedOut\nInternal the disk is gone\n');
  expect(code).toBe(1);
});
