// Only one service runs in a data directory: DIR/run/up.lock names the process that does, by pid and start time.
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import type { DataLayout } from './data-directory.ts';
import { identityOf, isAlive, ProcessIdentity } from './process-identity.ts';

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
