// A private redis-server on a unix socket: what `longshore up` runs where nobody names a Redis. It keeps its data in an append-only file,
// never evicts, listens on no port, and dies with the process that started it.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Fault } from '../domain/fault.ts';
import { childExit, endChild } from './child-exit.ts';
import { type Programs, systemSearchPath } from './programs.ts';

export interface EmbeddedRedisOptions {
  /** Where the append-only file lies. */
  directory: string;
  /** Where the socket goes, if its path is short enough; else a directory of its own under the system's temporary one. */
  runDirectory: string;
  programs: Programs;
  /** Instead of a place in runDirectory: the socket of an earlier run, so that who used that finds this one. */
  socket?: RedisSocket;
  /** Longest wait for the first PONG; a large append-only file takes a while to load. */
  readyTimeoutMs?: number;
}

/** Where a socket lies, and how to tidy up after the last run. */
export interface RedisSocket {
  readonly path: string;
  readonly url: string;
  remove(): Promise<void>;
}

export interface EmbeddedRedis {
  /** unix:// URL for LONGSHORE_REDIS_URL. */
  readonly url: string;
  readonly pid: number;
  /** Settles when it ends, by itself or through stop(), with what it said last. */
  readonly exited: Promise<string>;
  /** Whether it answers PING. */
  probe(): Promise<boolean>;
  /** Asks it to save and end; kills it after the limit. */
  stop(limitMs?: number): Promise<void>;
}

/** sun_path holds 108 bytes with its end. */
const longestSocketPath = 100;
const pollMs = 10;
const stopLimitMs = 10_000;

/**
 * Resolves when PING is answered.
 * @throws Fault ProgramMissing, RedisUnavailable with what redis-server said
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const program = options.programs.path('redis-server');
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const socket = options.socket ?? (await placeRedisSocket(options.runDirectory));
  await rm(socket.path, { force: true });
  const child = spawn(
    options.programs.path('setpriv'),
    ['--pdeathsig', 'KILL', '--', program, ...settings(socket.path, options.directory)],
    {
      cwd: options.directory,
      env: { PATH: systemSearchPath, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A signal from the terminal is for us; we end it when the others no longer need it.
      detached: true,
    },
  );
  const exited = childExit(child).then(async ({ tail }) => {
    if (options.socket === undefined) await socket.remove();
    return tail;
  });
  await waitForPong(socket.path, exited, child, options.readyTimeoutMs ?? 60_000);
  return {
    url: socket.url,
    pid: child.pid ?? 0,
    exited,
    probe: () => answersPing(socket.path),
    stop: async (limitMs = stopLimitMs) => {
      await endChild(child, exited, limitMs);
    },
  };
}

function settings(socketPath: string, directory: string): string[] {
  const pairs = {
    port: '0',
    unixsocket: socketPath,
    unixsocketperm: '700',
    dir: directory,
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    save: '',
    daemonize: 'no',
    databases: '1',
    loglevel: 'warning',
    'io-threads': '1',
    // An idle server wakes up this many times a second.
    hz: '1',
  };
  return Object.entries(pairs).flatMap(([name, value]) => [`--${name}`, value]);
}

/** In the run directory, or in one of its own under the system's temporary one where that path is too long for a socket. */
export async function placeRedisSocket(runDirectory: string): Promise<RedisSocket> {
  const preferred = join(runDirectory, 'redis.sock');
  if (Buffer.byteLength(preferred) <= longestSocketPath) {
    await mkdir(runDirectory, { recursive: true, mode: 0o700 });
    return { path: preferred, url: `unix://${preferred}`, remove: () => rm(preferred, { force: true }) };
  }
  const directory = await mkdtemp(join(tmpdir(), 'longshore-'));
  const path = join(directory, 'redis.sock');
  return { path, url: `unix://${path}`, remove: () => rm(directory, { recursive: true, force: true }) };
}

async function waitForPong(
  path: string,
  exited: Promise<string>,
  child: ChildProcess,
  timeoutMs: number,
): Promise<void> {
  const ended = exited.then((tail) => ({ tail }));
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const outcome = await Promise.race([ended, answersPing(path)]);
    if (outcome === true) return;
    if (outcome !== false) throw new Fault('RedisUnavailable', `redis-server ended at once: ${outcome.tail}`);
    await delay(pollMs);
  }
  await endChild(child, exited, 0);
  throw new Fault('RedisUnavailable', `redis-server did not answer within ${timeoutMs} ms`);
}

/** One PING over a connection of its own. */
function answersPing(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path, () => socket.write('PING\r\n'));
  socket.setTimeout(1000, () => socket.destroy());
  socket.once('data', (answer) => {
    resolve(answer.toString('latin1').startsWith('+PONG'));
    socket.destroy();
  });
  socket.once('error', () => resolve(false)); // not there yet: asked again
  socket.once('close', () => resolve(false));
  return promise;
}
