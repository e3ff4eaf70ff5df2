// Names that somebody chose, where a pool takes only its own: whatever is asked, and whatever lies in the pool, nothing outside of it changes (A6.5).
import { createHash, randomInt } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import { newVolumeId, populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import type { Pool } from './pool.ts';

const mib = 1024 * 1024;
const parts = [
  '..',
  '.',
  '/',
  '\\',
  '\0',
  '\n',
  'pvc-',
  '0000',
  '-',
  '%2e%2e',
  '~',
  '*',
  ' ',
  'é',
  'outside',
  'a'.repeat(300),
];

function hostileName(): string {
  const made = Array.from({ length: randomInt(1, 8) }, () => parts[randomInt(parts.length)] ?? '').join('');
  const id = newVolumeId();
  return [made, `${id}${made}`, `${made}${id}`, `../volumes/${id}`, id.toUpperCase()][randomInt(5)] ?? made;
}

/** Every name, link and content below a directory. */
async function fingerprint(directory: string): Promise<string> {
  const hash = createHash('sha256');
  for (const entry of (await readdir(directory, { recursive: true, withFileTypes: true })).toSorted((one, other) =>
    join(one.parentPath, one.name).localeCompare(join(other.parentPath, other.name)),
  )) {
    const path = join(entry.parentPath, entry.name);
    hash.update(`${path} ${entry.isSymbolicLink() ? await readlink(path) : ''}`);
    if (entry.isFile()) hash.update(await readFile(path));
  }
  return hash.digest('hex');
}

async function outsideOf(place: TemporaryPool): Promise<string> {
  const outside = join(place.root, 'outside');
  await mkdir(join(outside, 'data'), { recursive: true });
  await writeFile(join(outside, 'disk.img'), 'somebody else’s');
  await writeFile(join(outside, 'data', 'disk.img'), 'somebody else’s');
  await writeFile(join(outside, 'received.json'), JSON.stringify({ schemaVersion: 1, bytes: 1 }));
  return outside;
}

/** Every call that takes the name of a volume. */
function calls(pool: Pool, id: VolumeId): (() => unknown)[] {
  return [
    () => pool.reserve(reserveOf(id, mib)),
    () => pool.claimFence(id, { attempt: 1, generation: 1 }),
    () => pool.openStaging(id, randomInt(-2, 3)),
    () => pool.resumeStaging(id, 1),
    () => pool.markPlain(id),
    () => pool.markUsed(id),
    () => pool.openDisk(id),
    () => pool.dataPath(id),
    () => pool.expand(id, 2 * mib),
    () => pool.delete(id),
  ];
}

test('3,000 calls with 300 hostile names change nothing, inside or outside', async () => {
  await using place = await TemporaryPool.make();
  const outside = await outsideOf(place);
  const pool = await place.open();
  const before = await fingerprint(outside);
  for (let round = 0; round < 300; round += 1) {
    const name = hostileName();
    // As if somebody had forgotten to check.
    const id = name as VolumeId;
    for (const call of calls(pool, id)) {
      const error: unknown = await Promise.resolve()
        .then(call)
        .then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      const isRefused = error === undefined || error instanceof Fault || error instanceof RangeError;
      expect(isRefused, `${JSON.stringify(name)}: ${String(error)}`).toBe(true);
    }
  }
  expect(await place.files()).toEqual([]);
  expect(pool.list()).toEqual([]);
  expect((await readdir(place.root)).toSorted()).toEqual(['marker', 'outside', 'pool']);
  expect(await fingerprint(outside)).toBe(before);
});

test('links in the places of a volume, of its disk and of a staging lead nowhere', async () => {
  await using place = await TemporaryPool.make();
  const outside = await outsideOf(place);
  const first = await place.open();
  const [filled, waiting, linked] = [
    await populatingVolume(first, mib),
    await populatingVolume(first, mib),
    newVolumeId(),
  ];
  const record = JSON.parse(await readFile(join(place.directory, 'volumes', waiting, 'volume.json'), 'utf8'));
  await first.close();
  await writeFile(join(outside, 'volume.json'), JSON.stringify({ ...record, volumeId: linked, state: 'populating' }));
  await symlink(outside, join(place.directory, 'volumes', linked));
  await symlink(outside, join(place.directory, 'staging', `${waiting}.1`));
  await symlink(outside, join(place.directory, 'staging', 'temporary-link'));
  const before = await fingerprint(outside);

  const pool = await place.open();
  expect(pool.unreadable.get(linked)).toMatchObject({ code: 'VolumeCorrupt' });
  expect(pool.received()).toEqual([]);
  await expect(pool.delete(linked)).rejects.toMatchObject({ code: 'VolumeCorrupt' });
  expect((await pool.findings()).map(({ kind }) => kind)).toContain('unreadable-record');
  const staging = await pool.openStaging(filled, 1);
  await symlink(join(outside, 'disk.img'), staging.diskPath);
  await expect(pool.commit(staging, reportOf(1))).rejects.toMatchObject({ code: 'Internal' });
  await staging.discard();
  await symlink(join(outside, 'disk.img'), join(pool.dataPath(filled), 'disk.img'));
  await expect(pool.openDisk(filled)).rejects.toMatchObject({ code: 'HostileImage' });
  await pool.delete(filled);
  await pool.delete(waiting);
  await expect.poll(() => place.files('staging')).toEqual([]);
  expect(await fingerprint(outside)).toBe(before);
});
