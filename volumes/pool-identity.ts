// pool.json says that a directory is a pool, and which. So an unmounted disk, whose mount point is an empty directory, is never taken for an
// empty pool: a new pool is made only where it was asked, in an absent or empty directory, and only if none was ever made for this service (the marker).
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import { isLeftoverName, syncDirectory, writeDurably } from '../runtime/durable-file.ts';
import { makeDirectory } from '../runtime/make-directory.ts';
import { fileSystemIdOf } from './file-system-id.ts';
import type { PoolLayout } from './pool-layout.ts';

const poolVersion = 1;

export const PoolIdentity = Type.Object({
  schemaVersion: Type.Literal(poolVersion),
  poolId: Type.String({ minLength: 1 }),
  createdAt: Type.String(),
  /** Where it was made; absent where that has no lasting id. See file-system-id.ts. */
  fileSystem: Type.Optional(Type.String()),
});
export type PoolIdentity = Static<typeof PoolIdentity>;

const identityValidator = Compile(PoolIdentity);

export interface IdentityOptions {
  /** Make a pool where there is none. */
  create: boolean;
  /** File outside of the pool that remembers the id of the pool; where it exists, no other pool is taken and none is made. */
  marker: string;
}

/** Where the id of a pool is remembered unless somebody says otherwise: beside the directory, so below the mount point and not on the disk. */
export function markerBeside(directory: string): string {
  return join(dirname(directory), `.${basename(directory)}.pool-id`);
}

/** @throws Fault PoolMissing, NewerVersion; InvalidSetting where no directory can be */
export async function openIdentity(layout: PoolLayout, options: IdentityOptions): Promise<PoolIdentity> {
  const expected = await readIfThere(options.marker);
  const text = await readIfThere(layout.identity);
  const identity = text === undefined ? await createPool(layout, options, expected) : parseIdentity(layout, text);
  if (expected !== undefined && expected.trim() !== identity.poolId) {
    throw new Fault(
      'PoolMissing',
      `${layout.directory} holds pool ${identity.poolId}, not ${expected.trim()} as ${options.marker} says`,
    );
  }
  const settled = await withFileSystem(layout, identity);
  await makeDirectories(layout);
  if (expected === undefined) await remember(options.marker, identity);
  return settled;
}

/**
 * A pool that was made before its file system could be told is told it now. @throws Fault PoolMissing where it lies on another one than it was made on
 */
async function withFileSystem(layout: PoolLayout, identity: PoolIdentity): Promise<PoolIdentity> {
  const fileSystem = await fileSystemIdOf(layout.directory);
  if (fileSystem === undefined || fileSystem === identity.fileSystem) return identity;
  if (identity.fileSystem !== undefined) {
    const advice = `if it was moved there on purpose, take the member fileSystem out of ${layout.identity}`;
    const detail = `${layout.directory} lies on the file system ${fileSystem}, not on ${identity.fileSystem} as pool.json says`;
    throw new Fault('PoolMissing', `${detail}; ${advice}`);
  }
  const settled = { ...identity, fileSystem };
  await writeIdentity(layout, settled);
  return settled;
}

async function writeIdentity(layout: PoolLayout, identity: PoolIdentity): Promise<void> {
  await writeDurably(layout.identity, `${JSON.stringify(identity, null, 2)}\n`, 0o644);
}

/** An ordinary user may not write beside a mount point of root's; then nothing is remembered, and pool.json alone tells. */
async function remember(marker: string, identity: PoolIdentity): Promise<void> {
  try {
    await writeDurably(marker, `${identity.poolId}\n`, 0o644);
  } catch (error) {
    if (toFault(error).code !== 'PermissionDenied') throw error;
  }
}

/** After something failed in an open pool: PoolMissing where its disk is not there any more, else undefined. */
export async function whyGone(layout: PoolLayout, poolId: string, cause: unknown): Promise<Fault | undefined> {
  if (cause instanceof Fault && cause.code !== 'Internal') return undefined;
  const text = await readIfThere(layout.identity).catch(() => undefined); // EIO and the like: it is not there for us
  if (text !== undefined && parseIdentity(layout, text).poolId === poolId) return undefined;
  return new Fault('PoolMissing', `${layout.directory} is not there any more`, { cause });
}

async function createPool(
  layout: PoolLayout,
  options: IdentityOptions,
  expected: string | undefined,
): Promise<PoolIdentity> {
  if (expected !== undefined) {
    throw new Fault(
      'PoolMissing',
      `${layout.directory} has no pool.json, but pool ${expected.trim()} was there before`,
    );
  }
  if (!options.create) throw new Fault('PoolMissing', `${layout.directory} has no pool.json`);
  if (!(await isAbsentOrEmpty(layout.directory))) {
    throw new Fault('PoolMissing', `${layout.directory} has no pool.json and is not empty, so no pool is made in it`);
  }
  await makeDirectory({ path: layout.directory, mode: 0o755, setting: 'pool (--pool, LONGSHORE_POOL)' });
  await syncDirectory(dirname(layout.directory));
  const identity: PoolIdentity = {
    schemaVersion: poolVersion,
    poolId: randomUUID(),
    createdAt: new Date().toISOString(),
  };
  await writeIdentity(layout, identity);
  return identity;
}

function parseIdentity(layout: PoolLayout, text: string): PoolIdentity {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Fault('PoolMissing', `${layout.identity} is not JSON`, { cause });
  }
  const version = typeof value === 'object' && value !== null && 'schemaVersion' in value ? value.schemaVersion : 0;
  if (typeof version === 'number' && version > poolVersion) {
    throw new Fault('NewerVersion', `${layout.identity} has version ${version}; this is version ${poolVersion}`);
  }
  if (!identityValidator.Check(value)) throw new Fault('PoolMissing', `${layout.identity} is not that of a pool`);
  return value;
}

/** A new pool may have crashed before these were made; an old one has them. */
async function makeDirectories(layout: PoolLayout): Promise<void> {
  await mkdir(layout.volumes, { recursive: true, mode: 0o755 });
  await mkdir(layout.staging, { recursive: true, mode: 0o755 });
  await syncDirectory(layout.directory);
}

/** A file system of its own brings lost+found; that is still empty. A file in its place is told when the directory is made. */
async function isAbsentOrEmpty(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).every((name) => name === 'lost+found' || isLeftoverName(name));
  } catch (error) {
    if (isAbsent(error)) return true;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Also where a file is in the way. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
