// The data directory of a service: which one, what lies where in it, and the lock that lets only one service run in it.
//
//   DIR/store/objects.sqlite   objects and users        DIR/kubeconfig   of the first administrator (0600)
//   DIR/pki/                   CA, certificates, keys   DIR/ca.crt       what clients are to trust
//   DIR/redis/                 the queue's file         DIR/up.json      addresses and pids of the running service
//   DIR/run/                   sockets, the lock        DIR/log/         logs of the processes
//   DIR/pools/default/         the pool, unless --pool says otherwise
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import type { Config } from './config.ts';
import { identityOf, isAlive, ProcessIdentity } from './process-identity.ts';

export interface DataLayout {
  readonly root: string;
  readonly store: string;
  readonly objects: string;
  readonly pki: string;
  readonly redis: string;
  readonly run: string;
  readonly log: string;
  readonly pool: string;
  readonly kubeconfig: string;
  readonly caCertificate: string;
  readonly up: string;
  readonly lock: string;
}

/** LONGSHORE_DATA, else /var/lib/longshore for root, else `longshore` under XDG_DATA_HOME or ~/.local/share. */
export function chooseDataDirectory(
  config: Pick<Config, 'data'>,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (config.data !== '') return resolve(config.data);
  if (process.getuid?.() === 0) return '/var/lib/longshore';
  const share = environment['XDG_DATA_HOME'];
  const base = share?.startsWith('/') === true ? share : join(homedir(), '.local', 'share');
  return join(base, 'longshore');
}

export function layoutOf(root: string, pool = ''): DataLayout {
  return {
    root,
    store: join(root, 'store'),
    objects: join(root, 'store', 'objects.sqlite'),
    pki: join(root, 'pki'),
    redis: join(root, 'redis'),
    run: join(root, 'run'),
    log: join(root, 'log'),
    pool: pool === '' ? join(root, 'pools', 'default') : resolve(pool),
    kubeconfig: join(root, 'kubeconfig'),
    caCertificate: join(root, 'ca.crt'),
    up: join(root, 'up.json'),
    lock: join(root, 'run', 'up.lock'),
  };
}

/** Makes the directories that are missing. Only what machines are to read is open to others. */
export async function makeDirectories(layout: DataLayout): Promise<void> {
  await mkdir(layout.root, { recursive: true, mode: 0o755 });
  for (const secret of [layout.store, layout.pki, layout.redis, layout.run, layout.log]) {
    await mkdir(secret, { recursive: true, mode: 0o700 });
  }
}

export interface DataLock {
  release(): Promise<void>;
}

/**
 * Takes the lock for this process. One that a killed service left behind is taken over.
 * @throws Fault AlreadyRunning with the pid of the service that holds it
 */
export async function lockDataDirectory(layout: DataLayout): Promise<DataLock> {
  const own = identityOf(process.pid);
  if (own === undefined) throw new Fault('Internal', 'this process cannot see itself in /proc');
  const beside = `${layout.lock}.${process.pid}`;
  await writeFile(beside, JSON.stringify(own), { mode: 0o600 });
  try {
    while (!(await linkIfFree(beside, layout.lock))) await removeIfStale(layout);
  } finally {
    await rm(beside, { force: true });
  }
  return { release: () => rm(layout.lock, { force: true }) };
}

async function linkIfFree(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Moves the lock of a dead process away before removing it, and looks at what was moved: it may be somebody's fresh one. */
async function removeIfStale(layout: DataLayout): Promise<void> {
  const holder = await readHolder(layout.lock);
  if (holder === undefined) return;
  if (holder !== 'unreadable' && isAlive(holder)) throw alreadyRunning(layout, holder.pid);
  const aside = `${layout.lock}.stale.${process.pid}`;
  try {
    await rename(layout.lock, aside);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return; // somebody else was faster
    throw error;
  }
  const moved = await readHolder(aside);
  if (moved !== undefined && moved !== 'unreadable' && isAlive(moved)) {
    await linkIfFree(aside, layout.lock);
    await rm(aside, { force: true });
    throw alreadyRunning(layout, moved.pid);
  }
  await rm(aside, { force: true });
}

function alreadyRunning(layout: DataLayout, pid: number): Fault {
  return new Fault('AlreadyRunning', `process ${pid} serves ${layout.root}`, { facts: { pid } });
}

async function readHolder(path: string): Promise<ProcessIdentity | 'unreadable' | undefined> {
  try {
    const holder: unknown = JSON.parse(await readFile(path, 'utf8'));
    // Safe: checked against the schema of that very type.
    return Compile(ProcessIdentity).Check(holder) ? (holder as ProcessIdentity) : 'unreadable';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (error instanceof SyntaxError) return 'unreadable';
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
