// Removes what a look found in a pool without an owner, because somebody asked for exactly that. It is found again first: what has an owner by now stays.
import { join } from 'node:path';
import { Fault } from '../domain/fault.ts';
import type { Pool } from './pool.ts';
import { removeTree } from './remove-tree.ts';

/** Others hold content whose record is to be put right, or are none at all. */
const removable: ReadonlySet<string> = new Set([
  'foreign-volume',
  'foreign-file',
  'foreign-staging',
  'unowned-staging',
]);

/** So long after its last change nobody is about to own it. */
const settledSeconds = 60;

/**
 * @param path as the finding tells it
 * @throws Fault NotFound where nothing without an owner is at that path, VolumeInUse where it changed just now or is not to be removed, PoolMissing, PoolReadOnly
 */
export async function removeStray(pool: Pool, path: string, settledFor: number = settledSeconds): Promise<void> {
  if (pool.readOnly !== undefined) throw pool.readOnly;
  await pool.assertThere();
  const finding = (await pool.findings()).find((candidate) => candidate.path === path);
  if (finding === undefined) throw new Fault('NotFound', `nothing without an owner is at ${path} in pool ${pool.name}`);
  if (!removable.has(finding.kind)) throw new Fault('VolumeInUse', `${path}: ${finding.kind}, ${finding.detail}`);
  if (finding.ageSeconds < settledFor) {
    throw new Fault(
      'VolumeInUse',
      `${path} changed ${finding.ageSeconds} s ago; it is removed ${settledFor} s after that`,
    );
  }
  await removeTree(join(pool.directory, finding.path));
}
