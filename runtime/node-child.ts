// A process of ours as a part that can be kept: a Node program that reports on stdout (process-report.ts) and answers /livez. It dies with
// this process, whatever happens to this process.
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { get } from 'node:http';
import { createInterface } from 'node:readline';
import { Fault, faultFromRecord, toFault } from '../domain/fault.ts';
import { childExit, endChild } from './child-exit.ts';
import type { PartRun } from './kept-part.ts';
import { openLogFile } from './log-file.ts';
import { parseReport } from './process-report.ts';

export interface NodeChildOptions {
  name: string;
  /** Path of setpriv. */
  setpriv: string;
  program: string;
  nodeFlags: readonly string[];
  environment: Readonly<Record<string, string | undefined>>;
  /** Its stderr is added to this file; one that is large is moved aside first. */
  logPath: string;
  readyTimeoutMs?: number;
  signal: AbortSignal;
}

export interface NodeChild extends PartRun {
  readonly addresses: Readonly<Record<string, string>>;
}

/**
 * Resolves when the child reported that it is ready.
 * @throws the Fault that the child reported; TimedOut; Internal where it ended without a word. It is gone then.
 */
export async function startNodeChild(options: NodeChildOptions): Promise<NodeChild> {
  const log = openLogFile(options.logPath);
  const args = ['--pdeathsig', 'KILL', '--', process.execPath, ...options.nodeFlags, options.program];
  const child = spawn(options.setpriv, args, {
    env: { ...options.environment },
    stdio: ['ignore', 'pipe', log],
    // A Ctrl-C on the terminal is for this process, which ends the others in order.
    detached: true,
  });
  closeSync(log);
  const first = Promise.withResolvers<Readonly<Record<string, string>>>();
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const report = parseReport(line);
      if (report?.event === 'ready') first.resolve(report.addresses);
      if (report?.event === 'fault') first.reject(faultFromRecord(report.fault));
    });
  }
  const exited = childExit(child).then(({ exitCode, signal }) => {
    const told = signal === undefined ? `exit code ${exitCode}` : `ended by ${signal}`;
    first.reject(new Fault('Internal', `${options.name} ended before it was ready (${told}); see ${options.logPath}`));
    return told;
  });
  const stop = (limitMs: number): Promise<void> => endChild(child, exited, limitMs);
  const addresses = await untilReady(first, exited, stop, options);
  return {
    pid: child.pid ?? 0,
    addresses,
    exited,
    stop,
    probe: (signal) => answersLivez(addresses['metrics'], signal),
  };
}

async function untilReady(
  first: PromiseWithResolvers<Readonly<Record<string, string>>>,
  exited: Promise<string>,
  stop: (limitMs: number) => Promise<void>,
  options: NodeChildOptions,
): Promise<Readonly<Record<string, string>>> {
  const timeoutMs = options.readyTimeoutMs ?? 120_000;
  const late = new Fault('TimedOut', `${options.name} was not ready within ${timeoutMs} ms`);
  const timer = setTimeout(() => first.reject(late), timeoutMs);
  const interrupt = (): void => first.reject(toFault(options.signal.reason, { signal: options.signal }));
  options.signal.addEventListener('abort', interrupt, { once: true });
  if (options.signal.aborted) interrupt();
  try {
    return await first.promise;
  } catch (error) {
    await stop(error === late ? 0 : 2_000);
    await exited;
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', interrupt);
  }
}

function answersLivez(address: string | undefined, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  if (address === undefined) return Promise.resolve(true);
  const asked = get(`http://${address}/livez`, { signal, agent: false }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  asked.once('error', reject);
  return promise;
}
