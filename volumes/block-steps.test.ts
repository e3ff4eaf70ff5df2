// What a Block volume is after a real process was killed at each step of a change, and after the disk was full there: the devices that are attached are
// those of volumes that are handed out, each has the length that its record says, and no file is left.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, stat, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { describe, expect, test } from 'vitest';
import { devicePathOf } from '../domain/block-device.ts';
import { isHandedOut, type VolumeId } from '../domain/volume-record.ts';
import { deviceLinks, devicesBelow, isRoot } from '../test/leave-no-device.ts';
import { newVolumeId, populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import type { Pool } from './pool.ts';
import type { PoolStep } from './pool-opening.ts';

const mib = 1024 * 1024;

type Change = 'commit' | 'markPlain' | 'expand' | 'delete';

const moduleAt = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Changes a Block volume, and stops at a step for its killer. */
const changer = `
  import { writeFile } from 'node:fs/promises';
  import { Pool } from ${moduleAt('./pool.ts')};
  import { LoopDevices } from ${moduleAt('./loop-devices.ts')};
  import { findPrograms } from ${moduleAt('../runtime/programs.ts')};
  const [directory, marker, volumeId, change, stopAt] = process.argv.slice(1);
  const logger = { info() {}, warn() {} };
  let armed = false;
  const at = async (step) => {
    if (!armed || step !== stopAt) return;
    console.log('stopped');
    await new Promise(() => setInterval(() => {}, 1000));
  };
  const loops = new LoopDevices(findPrograms(['losetup', 'blockdev']));
  const pool = await Pool.open({ directory, marker, create: true, overcommit: 1, logger, at, loops });
  const owner = { namespace: 'default', name: 'disk', uid: volumeId };
  await pool.reserve({ volumeId, owner, mode: 'Block', sizeBytes: ${mib}, generation: 1 });
  if (change === 'markPlain') {
    armed = true;
    await pool.markPlain(volumeId);
  }
  await pool.claimFence(volumeId, { attempt: 1, generation: 1 });
  const staging = await pool.openStaging(volumeId, 1);
  await writeFile(staging.diskPath, 'content');
  const report = { virtualSizeBytes: ${mib}, allocatedBytes: 0, format: 'raw', strategy: 'stream',
    verified: 'length', fetchedBytes: 7, steps: [] };
  armed ||= change === 'commit';
  await pool.commit(staging, report);
  armed = true;
  if (change === 'expand') await pool.expand(volumeId, ${3 * mib});
  if (change === 'delete') await pool.delete(volumeId);
`;

async function killAt(place: TemporaryPool, volumeId: VolumeId, change: Change, step: PoolStep): Promise<void> {
  const words = ['--input-type=module', '-e', changer, '--', place.directory, place.marker, volumeId, change, step];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  let stopped = false;
  for await (const line of createInterface({ input: child.stdout })) {
    stopped = line === 'stopped';
    if (stopped) break;
  }
  child.kill('SIGKILL');
  await gone;
  expect(stopped).toBe(true);
}

/** Devices, links, files and promises are those of the records, and nothing else. */
async function expectInOrder(place: TemporaryPool, pool: Pool, id: VolumeId): Promise<void> {
  const record = pool.get(id);
  const device = (await deviceLinks()).get(id);
  const attached = await devicesBelow(place.root);
  const files = await place.files('volumes');
  if (record === undefined) {
    expect([device, attached, files]).toEqual([undefined, [], []]);
  } else if (isHandedOut(record.state)) {
    expect(attached).toEqual([{ device, file: pool.diskPath(id) }]);
    expect(files).toEqual([id, `${id}/block.img`, `${id}/volume.json`]);
    expect((await stat(pool.diskPath(id))).size).toBe(record.sizeBytes);
    expect(await lengthOf(devicePathOf(id))).toBe(record.sizeBytes);
  } else {
    expect([device, attached, files]).toEqual([undefined, [], [id, `${id}/volume.json`]]);
  }
  expect((await pool.usage()).reservedBytes).toBe(record?.sizeBytes ?? 0);
  await expect.poll(() => place.files('staging')).toEqual([]);
  expect(await pool.findings()).toEqual([]);
}

async function lengthOf(device: string): Promise<number> {
  await using file = await open(device, 'r');
  const block = Buffer.alloc(512);
  let sectors = 0;
  while ((await file.read(block, 0, 512, sectors * 512)).bytesRead === 512) sectors += 1;
  return sectors * 512;
}

// Devices are attached.
describe.skipIf(!isRoot)('killed', () => {
  test.each<[Change, PoolStep, string | undefined, number]>([
    ['commit', 'checked', 'populating', mib],
    ['commit', 'owned', 'populating', mib],
    ['commit', 'synced', 'populating', mib],
    ['commit', 'renamed', 'populating', mib],
    ['commit', 'attached', 'populating', mib],
    ['commit', 'recorded', 'complete', mib],
    ['markPlain', 'devised', 'empty', mib],
    ['expand', 'promised', 'complete', mib],
    ['expand', 'grown', 'complete', mib],
    ['expand', 'growthRecorded', 'complete', 3 * mib],
    ['delete', 'detached', 'complete', mib],
    ['delete', 'moved', undefined, 0],
  ])('in %s at %s: it is %s with %i bytes, and nothing else is left', async (change, step, state, sizeBytes) => {
    await using place = await TemporaryPool.make();
    const id = newVolumeId();
    await killAt(place, id, change, step);
    const pool = await place.open();
    expect(pool.get(id)?.state).toBe(state);
    expect(pool.get(id)?.sizeBytes ?? 0).toBe(sizeBytes);
    await expectInOrder(place, pool, id);
    await pool.delete(id);
    await expectInOrder(place, pool, id);
  });
});

describe.skipIf(!isRoot)('the disk is full', () => {
  test.each<[Change, PoolStep, string, number]>([
    ['commit', 'checked', 'populating', mib],
    ['commit', 'synced', 'populating', mib],
    ['commit', 'renamed', 'populating', mib],
    ['commit', 'attached', 'populating', mib],
    ['markPlain', 'devised', 'empty', mib],
    ['expand', 'promised', 'complete', mib],
    ['expand', 'grown', 'complete', mib],
    ['delete', 'detached', 'complete', mib],
  ])('in %s at %s: NoSpace; it is %s as before, and the same works later', async (change, step, state, sizeBytes) => {
    await using place = await TemporaryPool.make();
    let full: PoolStep | undefined;
    const pool = await place.open({
      at: async (reached) => {
        if (reached === full) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      },
    });
    const id = await ready(pool, change);
    full = step;
    await expect(run(pool, id, change)).rejects.toMatchObject({ code: expect.stringMatching(/^(NoSpace|ENOSPC)$/) });
    expect(pool.get(id)).toMatchObject({ state, sizeBytes });
    await expectInOrder(place, pool, id);
    full = undefined;
    await run(pool, id, change);
    await expectInOrder(place, pool, id);
    expect(pool.get(id)?.sizeBytes).toBe(change === 'delete' ? undefined : change === 'expand' ? 3 * mib : mib);
  });
});

/** A volume to which the change can be made. */
async function ready(pool: Pool, change: Change): Promise<VolumeId> {
  if (change === 'commit') return await populatingVolume(pool, mib, 1, { mode: 'Block' });
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, mib, 'Block'));
  if (change === 'markPlain') return id;
  await pool.claimFence(id, { attempt: 1, generation: 1 });
  await run(pool, id, 'commit');
  return id;
}

async function run(pool: Pool, id: VolumeId, change: Change): Promise<void> {
  if (change === 'markPlain') await pool.markPlain(id);
  if (change === 'expand') await pool.expand(id, 3 * mib);
  if (change === 'delete') await pool.delete(id);
  if (change !== 'commit') return;
  const staging = await pool.openStaging(id, 1);
  try {
    await writeFile(staging.diskPath, 'content');
    await pool.commit(staging, reportOf(mib));
  } catch (error) {
    await staging.discard();
    throw error;
  }
}
