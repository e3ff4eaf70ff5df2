import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { type TransferReport, type VolumeId, volumeIdOf } from '../domain/volume-record.ts';
import { createLogger } from '../runtime/logger.ts';
import { contentDigestOfFile } from '../volumes/content-digest.ts';
import { Pool } from '../volumes/pool.ts';
import type { Staging } from '../volumes/staging.ts';
import type { CloneHooks } from './clone-hooks.ts';
import { cloneVolume } from './clone-volume.ts';

const logger = createLogger({ logLevel: 'silent' }, 'test');
const mebibyte = 1024 * 1024;
const signal = new AbortController().signal;

let directory: string;
let pool: Pool;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-clone-'));
  pool = await Pool.open({ directory: join(directory, 'pool'), create: true, overcommit: 1, logger });
});
afterEach(async () => {
  await pool.close();
  await rm(directory, { recursive: true, force: true });
});

async function reserve(sizeBytes: number): Promise<{ volumeId: VolumeId; staging: Staging }> {
  const uid = randomUUID();
  const volumeId = volumeIdOf(uid);
  const owner = { namespace: 'ns', name: 'claim', uid };
  await pool.reserve({ volumeId, owner, mode: 'Filesystem', sizeBytes, generation: 1 });
  await pool.claimFence(volumeId, { attempt: 1, generation: 1 });
  return { volumeId, staging: await pool.openStaging(volumeId, 1) };
}

/** A complete volume of 8 MiB: data, a hole, data. */
async function sourceVolume() {
  const { volumeId, staging } = await reserve(8 * mebibyte);
  await truncate(await touched(staging.diskPath), 8 * mebibyte);
  const file = await open(staging.diskPath, 'r+');
  await file.write(Buffer.alloc(mebibyte, 'a'), 0, mebibyte, 0);
  await file.write(Buffer.from('the end'), 0, 7, 7 * mebibyte);
  await file.close();
  const { contentDigest } = await contentDigestOfFile(staging.diskPath, { signal });
  const record = await pool.commit(staging, { ...emptyReport, contentDigest });
  return { path: pool.diskPath(volumeId), record };
}

const emptyReport: TransferReport = {
  ...{ virtualSizeBytes: 8 * mebibyte, allocatedBytes: 0, format: 'raw', strategy: 'stream', verified: 'none' },
  ...{ fetchedBytes: 0, steps: [] },
};

async function touched(path: string): Promise<string> {
  await writeFile(path, '');
  return path;
}

function hooks(change: Partial<CloneHooks> = {}): CloneHooks {
  return { signal, onProgress: () => undefined, logger, ...change };
}

async function stagingLeft(): Promise<string[]> {
  return readdir(join(directory, 'pool', 'staging'));
}

describe('cloneVolume', () => {
  test('a copy has the content of its source, keeps the holes and says how it was verified', async () => {
    const source = await sourceVolume();
    const { volumeId, staging } = await reserve(8 * mebibyte);
    const report = await cloneVolume({ sizeBytes: 8 * mebibyte, preallocation: false }, source, staging, hooks());
    await pool.commit(staging, report);
    const content = await readFile(pool.diskPath(volumeId));
    expect(content.equals(await readFile(source.path))).toBe(true);
    expect(report.virtualSizeBytes).toBe(8 * mebibyte);
    expect(report.format).toBe('clone');
    if (report.strategy === 'reflink') {
      expect(report).toMatchObject({ verified: 'reflink' });
      expect(report.contentDigest).toBeUndefined();
    } else {
      expect(report).toMatchObject({ strategy: 'copy', verified: 'digest' });
      expect(report.contentDigest).toBe(source.record.report?.contentDigest);
    }
    expect((await stat(pool.diskPath(volumeId))).blocks * 512).toBeLessThan(4 * mebibyte);
    expect(report.steps.map((row) => row.step)).toEqual(['probe', 'plan', 'transfer', 'verify', 'resize']);
    expect(await stagingLeft()).toEqual([]);
  });

  test('a larger clone ends with zeros and its digest is that of all of it', async () => {
    const source = await sourceVolume();
    const { volumeId, staging } = await reserve(11 * mebibyte);
    const report = await cloneVolume({ sizeBytes: 11 * mebibyte, preallocation: true }, source, staging, hooks());
    await pool.commit(staging, report);
    const path = pool.diskPath(volumeId);
    const content = await readFile(path);
    expect(content.length).toBe(11 * mebibyte);
    expect(content.subarray(8 * mebibyte).every((byte) => byte === 0)).toBe(true);
    expect(report).toMatchObject({ strategy: 'copy', verified: 'digest' });
    expect(report.contentDigest).toBe((await contentDigestOfFile(path, { signal })).contentDigest);
    expect((await stat(path)).blocks * 512).toBeGreaterThanOrEqual(11 * mebibyte);
  });

  test('a source that was used since its commit is compared by its bytes', async () => {
    const source = await sourceVolume();
    await writeFile(source.path, 'used', { flag: 'r+' });
    const { staging } = await reserve(8 * mebibyte);
    const report = await cloneVolume({ sizeBytes: 8 * mebibyte, preallocation: true }, source, staging, hooks());
    expect(report.contentDigest).not.toBe(source.record.report?.contentDigest);
    expect(report.contentDigest).toBe((await contentDigestOfFile(source.path, { signal })).contentDigest);
  });

  test('a smaller clone is ImageTooLarge and nothing was copied', async () => {
    const source = await sourceVolume();
    const { staging } = await reserve(7 * mebibyte);
    const cloning = cloneVolume({ sizeBytes: 7 * mebibyte, preallocation: false }, source, staging, hooks());
    await expect(cloning).rejects.toMatchObject({ code: 'ImageTooLarge' });
    expect(await readdir(staging.directory)).toEqual([]);
  });

  test('a source that is written meanwhile is SourceChanged', async () => {
    const source = await sourceVolume();
    const { staging } = await reserve(8 * mebibyte);
    const writing = hooks({
      onProgress: ({ step }) => {
        if (step === 'verify') writeFileSync(source.path, 'changed', { flag: 'r+' });
      },
    });
    const cloning = cloneVolume({ sizeBytes: 8 * mebibyte, preallocation: false }, source, staging, writing);
    await expect(cloning).rejects.toMatchObject({ code: 'SourceChanged' });
    await staging.discard();
    expect(await stagingLeft()).toEqual([]);
  });

  test('an abort ends it with its reason', async () => {
    const source = await sourceVolume();
    const { staging } = await reserve(8 * mebibyte);
    const abort = new AbortController();
    const aborting = hooks({
      signal: abort.signal,
      onProgress: ({ step }) => {
        if (step === 'transfer') abort.abort(new Fault('Cancelled', 'enough'));
      },
    });
    const cloning = cloneVolume({ sizeBytes: 8 * mebibyte, preallocation: false }, source, staging, aborting);
    await expect(cloning).rejects.toMatchObject({ code: 'Cancelled' });
    await staging.discard();
    expect(await stagingLeft()).toEqual([]);
  });
});
