// Tells one process from a later one that got the same number: by boot, pid and start time. Fences use it to end the children of a former
// attempt, also those of a service that was killed, and never a stranger.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Type } from 'typebox';
import { Fault } from '../domain/fault.ts';

export const ProcessIdentity = Type.Object({ pid: Type.Integer({ minimum: 1 }), startTime: Type.String() });
export interface ProcessIdentity {
  pid: number;
  startTime: string;
}

const pollMs = 5;
const longestWaitMs = 30_000;

/**
 * Boot and start time (field 22 of /proc/pid/stat) of a living process, as one opaque text; undefined where it is gone, or a zombie in all its
 * threads. The first thread is a zombie as long as another one runs, and that one may still write.
 */
export function startTimeOf(pid: number): string | undefined {
  const first = statOf(`/proc/${pid}/stat`);
  if (first === undefined || (!first.runs && !someThreadRuns(pid))) return undefined;
  return `${bootId()}/${first.startTicks}`;
}

function someThreadRuns(pid: number): boolean {
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return threads.some((thread) => statOf(`/proc/${pid}/task/${thread}/stat`)?.runs === true);
}

function statOf(path: string): { runs: boolean; startTicks: string } | undefined {
  const stat = readProc(path);
  // The name of the program stands in parentheses and may hold anything, so count from the last one: state is field 3.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields?.[0], fields?.[19]];
  return startTicks === undefined ? undefined : { runs: state !== 'Z' && state !== 'X', startTicks };
}

export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return startTimeOf(identity.pid) === identity.startTime;
}

/**
 * Kills the process if it is still the one that was recorded, and waits until none of its threads runs: afterwards it writes no further byte.
 * @returns true where it was alive
 * @throws Fault TimedOut where it does not end, PermissionDenied where it belongs to somebody else
 */
export async function killIfSame(identity: ProcessIdentity): Promise<boolean> {
  if (!isAlive(identity)) return false;
  sendKill(identity.pid);
  const deadline = performance.now() + longestWaitMs;
  while (isAlive(identity)) {
    if (performance.now() > deadline) throw new Fault('TimedOut', `process ${identity.pid} does not end`);
    await delay(pollMs);
  }
  return true;
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return; // it ended in between, which is what is wanted
    throw new Fault('PermissionDenied', `process ${pid} may not be ended`, { cause: error });
  }
}

function bootId(): string {
  return readProc('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown';
}

function readProc(path: string): string | undefined {
  return unlessGone(() => readFileSync(path, 'latin1'));
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return undefined;
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
