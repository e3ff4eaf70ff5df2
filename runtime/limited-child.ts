// Runs a system program as a child that cannot hurt: limits on address space, CPU and file size, no environment of ours, killed when this
// process dies or the signal aborts; isolated ones have no network and, where we are root, run as uid 107 without any right.
// The program replaces its wrappers (unshare, prlimit, setpriv), so `pid` is the program itself. An aborted child leaves nothing running.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import { debianPackageOf, programNames, systemSearchPath } from './programs.ts';

/** How a child ended. `stderr` is the tail of what it said, in English (LC_ALL=C). */
export interface ChildEnd {
  exitCode: number | undefined;
  signal: NodeJS.Signals | undefined;
  stderr: string;
}

export interface LimitedChildOptions {
  /** Path from Programs, or the bare name of a program of the system. */
  program: string;
  /** What a person knows it by, where that is not the end of the path. */
  name?: string;
  args: readonly string[];
  signal: AbortSignal;
  limits: { addressSpaceMiB: number; cpuSeconds: number; fileSizeBytes?: number };
  /** No network; as root also uid and gid 107 and no capabilities. Files are then best passed as descriptors, which need no right on the path. */
  isolate: boolean;
  /** A socket: it may write to that too. */
  stdin: 'ignore' | 'pipe' | number | Socket;
  stdout: 'ignore' | 'pipe' | number;
  /** Descriptors that the child gets as 3, 4, …; it may open them anew as /proc/self/fd/3. They stay open here. */
  descriptors?: readonly number[];
  directory?: string;
  /** Code for an end that nothing else explains; ConversionFailed by default. */
  failure?: FaultCode;
  /** Looks at an unsuccessful end first; undefined leaves it to the rules below. */
  classify?: (end: ChildEnd) => FaultCode | undefined;
  /** Puts what the child said into the words of a detail, where its own would puzzle a person. */
  wording?: (stderr: string) => string;
}

export interface LimitedChild {
  readonly pid: number;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  /**
   * Settles after the child is gone. Rejects with the reason of the abort, TimedOut (CPU limit), ImageTooLarge (file size limit),
   * OutOfMemory (killed, or refused memory), ProgramMissing, else `failure`; facts: exitCode, signal.
   */
  readonly done: Promise<void>;
  /** Ends the child for a reason of the caller's and waits until it is gone; `done` rejects with the reason. */
  kill(reason: Fault): Promise<void>;
}

/** The user that virtual machines run as (KubeVirt's qemu). */
export const machineUser = { uid: 107, gid: 107 } as const;

const stderrTailBytes = 8192;
const capability = { setgid: 6, setuid: 7, sysAdmin: 21 } as const;

/** @throws Fault where the child cannot be started at all */
export function spawnLimited(options: LimitedChildOptions): LimitedChild {
  if (options.signal.aborted) throw toFault(options.signal.reason, { signal: options.signal });
  const [command, ...args] = [...wrappersOf(options), options.program, ...options.args];
  const child = spawn(command ?? options.program, args, {
    cwd: options.directory ?? '/',
    // One malloc arena: each further one would take 64 MiB of the address space for every thread.
    env: { PATH: systemSearchPath, LC_ALL: 'C', MALLOC_ARENA_MAX: '1' },
    stdio: [options.stdin, options.stdout, 'pipe', ...(options.descriptors ?? [])],
  });
  const stop = new AbortController();
  const done = endOf(child, { ...options, signal: AbortSignal.any([options.signal, stop.signal]) });
  // Who awaits `done` later must not find the process ended by an unhandled rejection.
  done.catch(() => undefined);
  // A broken pipe is told by `done`, with the reason; without a listener the event would end the process.
  child.stdin?.on('error', () => undefined);
  const kill = async (reason: Fault): Promise<void> => {
    stop.abort(reason);
    await done.catch(() => undefined); // the caller has the reason
  };
  return { pid: child.pid ?? 0, stdin: child.stdin, stdout: child.stdout, done, kill };
}

function wrappersOf(options: LimitedChildOptions): string[] {
  const { addressSpaceMiB, cpuSeconds, fileSizeBytes } = options.limits;
  const limits = [`--as=${addressSpaceMiB * 1024 * 1024}`, `--cpu=${cpuSeconds}:${cpuSeconds + 2}`, '--core=0'];
  if (fileSizeBytes !== undefined) limits.push(`--fsize=${fileSizeBytes}`);
  const rights = options.isolate ? effectiveCapabilities() : 0n;
  const network = has(rights, capability.sysAdmin) ? ['unshare', '--net', '--'] : [];
  const mayChangeUser = has(rights, capability.setuid) && has(rights, capability.setgid);
  const user = mayChangeUser
    ? [`--reuid=${machineUser.uid}`, `--regid=${machineUser.gid}`, '--clear-groups', '--inh-caps=-all']
    : [];
  return [...network, 'prlimit', ...limits, '--', 'setpriv', '--no-new-privs', ...user, '--pdeathsig=KILL', '--'];
}

async function endOf(child: ChildProcess, options: LimitedChildOptions): Promise<void> {
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  options.signal.addEventListener('abort', kill, { once: true });
  const tail = collectTail(child);
  try {
    const { exitCode, signal } = await exitOf(child, options.program);
    if (options.signal.aborted) throw toFault(options.signal.reason, { signal: options.signal });
    if (exitCode !== 0) throw faultOfEnd({ exitCode, signal, stderr: tail() }, options);
  } finally {
    options.signal.removeEventListener('abort', kill);
  }
}

type Exit = Pick<ChildEnd, 'exitCode' | 'signal'>;

function exitOf(child: ChildProcess, program: string): Promise<Exit> {
  const { promise, resolve, reject } = Promise.withResolvers<Exit>();
  const startFailed = (error: Error): void => {
    const missing = 'code' in error && error.code === 'ENOENT';
    const detail = `${program} cannot be started with unshare, prlimit and setpriv (Debian package util-linux)`;
    reject(missing ? new Fault('ProgramMissing', detail, { cause: error }) : toFault(error));
  };
  child.once('error', startFailed);
  // Gone, and its words read to their end. Not `close`: that waits for stdout too, which somebody may have stopped reading.
  const spoken = child.stderr === null ? Promise.resolve() : finished(child.stderr).catch(() => undefined);
  child.once('exit', (code, signal) => {
    spoken.then(() => resolve({ exitCode: code ?? undefined, signal: signal ?? undefined }), reject);
  });
  return promise;
}

function collectTail(child: ChildProcess): () => string {
  let tail = Buffer.alloc(0);
  child.stderr?.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-stderrTailBytes);
  });
  return () => tail.toString('utf8').trim();
}

/** The rules for an end that was not a success. A child's exit and its words are the only facts there are. */
function faultOfEnd(ended: ChildEnd, options: LimitedChildOptions): Fault {
  const end = { ...ended, stderr: options.wording?.(ended.stderr) ?? ended.stderr };
  const name = options.name ?? options.program.slice(options.program.lastIndexOf('/') + 1);
  const facts = { exitCode: end.exitCode ?? -1, signal: end.signal ?? '', program: name };
  const { addressSpaceMiB, cpuSeconds, fileSizeBytes } = options.limits;
  const own = options.classify?.(end);
  if (own !== undefined) return new Fault(own, `${name}: ${end.stderr || describe(end)}`, { facts });
  if (end.signal === 'SIGXCPU')
    return new Fault('TimedOut', `${name} used more than ${cpuSeconds} s of CPU`, { facts });
  if (end.signal === 'SIGXFSZ' || (fileSizeBytes !== undefined && /File too large/.test(end.stderr))) {
    return new Fault('ImageTooLarge', `${name} wrote more than ${fileSizeBytes ?? 0} bytes`, { facts });
  }
  if (isOutOfMemory(end)) {
    return new Fault(
      'OutOfMemory',
      `${name} needs more memory than ${addressSpaceMiB} MiB (LONGSHORE_TOOL_MEMORY_MIB)`,
      {
        facts,
      },
    );
  }
  if (end.exitCode === 127 && /setpriv: failed to execute/.test(end.stderr)) {
    return new Fault('ProgramMissing', `${name} is not installed: ${packageHint(name)}`, { facts });
  }
  if (/No space left on device/.test(end.stderr)) return new Fault('NoSpace', `${name}: ${end.stderr}`, { facts });
  const detail = end.stderr === '' ? describe(end) : `${describe(end)}: ${end.stderr}`;
  return new Fault(options.failure ?? 'ConversionFailed', `${name} ${detail}`, { facts });
}

function packageHint(name: string): string {
  const known = programNames().find((program) => program === name);
  return known === undefined ? 'it is nowhere on the path' : `sudo apt-get install ${debianPackageOf(known)}`;
}

/** SIGKILL that we did not send is the kernel's; glib ends with SIGTRAP where it gets no memory. */
function isOutOfMemory(end: ChildEnd): boolean {
  if (end.signal === 'SIGKILL' || end.signal === 'SIGTRAP') return true;
  return /Cannot allocate memory|Resource temporarily unavailable|[Oo]ut of memory|[Mm]emory exhausted|failed to allocate/.test(
    end.stderr,
  );
}

function describe(end: ChildEnd): string {
  return end.signal === undefined ? `ended with ${end.exitCode ?? 'no exit code'}` : `was ended by ${end.signal}`;
}

function effectiveCapabilities(): bigint {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return BigInt(`0x${line?.[1] ?? '0'}`);
}

function has(rights: bigint, bit: number): boolean {
  return (rights & (1n << BigInt(bit))) !== 0n;
}
