// Images that lie must be refused before qemu-img is ever started: here qemu-img is a program that leaves a mark when it runs.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import { convertReceived } from '../../importer/convert-received.ts';
import { receiveUpload } from '../../importer/receive-upload.ts';
import { findPrograms, Programs, programNames } from '../../runtime/programs.ts';
import { workerPrograms } from '../../worker/worker-programs.ts';
import { imageOf, imagesOf } from './good-images.ts';
import { HostileServer } from './hostile-server.ts';
import { type Ending, ImportBench } from './import-bench.ts';
import { noDisks, spoiledCompressions } from './no-disk-corpus.ts';
import { goodQcow2, goodVirtualBytes, hostileQcow2Images } from './qcow2-corpus.ts';
import type { HostileImage } from './spoiled-image.ts';
import { hostileVdiImages, hostileVhdImages } from './vdi-vhd-corpus.ts';
import { hostileVhdxImages } from './vhdx-corpus.ts';
import { hostileVmdkImages } from './vmdk-corpus.ts';

const claim = 4 * 1_048_576;
const disk = randomBytes(1_048_576);
const good = imagesOf(disk);
const images = [
  ...hostileQcow2Images(),
  ...hostileVmdkImages(imageOf(good, 'vmdk monolithicSparse'), imageOf(good, 'vmdk streamOptimized')),
  ...hostileVdiImages(imageOf(good, 'vdi')),
  ...hostileVhdImages(imageOf(good, 'vhd dynamic of exact size'), imageOf(good, 'vhd fixed')),
  ...hostileVhdxImages(imageOf(good, 'vhdx')),
  ...noDisks(),
];
const toldByHeader: readonly FaultCode[] = ['HostileImage', 'ImageTooLarge', 'UnsupportedFormat', 'NotADiskImage'];
let work: string;
let mark: string;
let bench: ImportBench;
let server: HostileServer;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-decoy-'));
  mark = join(work, 'qemu-img-ran');
  const decoy = join(work, 'qemu-img');
  await writeFile(decoy, `#!/bin/sh\ntouch ${mark}\nexit 1\n`, { mode: 0o755 });
  const real = findPrograms([...workerPrograms]);
  const others = programNames().filter((name) => real.has(name));
  const programs = new Programs(
    new Map([...others.map((name) => [name, real.path(name)] as const), ['qemu-img', decoy]]),
  );
  bench = await ImportBench.make({ programs });
  server = await HostileServer.start();
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
  await rm(work, { recursive: true });
});

describe('the inspector', () => {
  test('the corpus is large enough, and its good image is right', async () => {
    expect(images.length).toBeGreaterThanOrEqual(60);
    const path = join(work, 'good.qcow2');
    await writeFile(path, goodQcow2());
    execFileSync('qemu-img', ['check', '-f', 'qcow2', path]);
    const real = await ImportBench.make();
    server.set('good', goodQcow2());
    const { sha256 } = await real.import(server.url('ranges', 'good'), goodVirtualBytes);
    // Of a writer that did not close it only the refcounts are old, and nobody reads those.
    const dirty = goodQcow2();
    dirty.writeBigUInt64BE(1n, 72);
    server.set('dirty', dirty);
    expect((await real.import(server.url('ranges', 'dirty'), goodVirtualBytes)).sha256).toBe(sha256);
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, join(work, 'good.raw')]);
    expect(sha256).toBe(
      createHash('sha256')
        .update(await readFile(join(work, 'good.raw')))
        .digest('hex'),
    );
    await real.close();
  });

  test.each(named(images))('%s is refused from little of it', async (_name, image) => {
    server.set('image', image.bytes);
    server.forget();
    const ending = await bench.import(server.url('ranges', 'image'), claim);
    expect(refusalOf(ending)).toEqual({ code: image.code, attempts: 1, left: [] });
    expect(server.sentBytes).toBeLessThan(1_048_576);
    expect(existsSync(mark)).toBe(false);
  });

  test.each(named(images.filter(({ name }) => isLookedAtWhole(name))))(
    '%s is refused where it comes in order',
    async (_name, image) => {
      server.set('image', image.bytes);
      const ending = await bench.import(server.url('no-ranges', 'image'), claim);
      expect(ending.code).toBe(image.code);
      expect(existsSync(mark)).toBe(false);
    },
  );

  test.each(named(spoiledCompressions(disk)))('%s is refused', async (_name, image) => {
    server.set('image', image.bytes);
    const ending = await bench.import(server.url('ranges', 'image'), claim);
    expect(ending.code).toBe(image.code);
    expect(existsSync(mark)).toBe(false);
  });

  test.each(named(images.filter(({ name }) => isLookedAtWhole(name))))(
    '%s is refused as an upload',
    async (_name, image) => {
      expect((await upload(image)).code).toBe(image.code);
      expect(existsSync(mark)).toBe(false);
    },
  );

  // What lies behind the beginning of the other formats is looked at once all of it is there.
  test.each(named(images.filter(({ name, code }) => toldByHeader.includes(code) && !isLookedAtWhole(name))))(
    '%s is refused as an upload before it is read on',
    async (_name, image) => {
      const { code, left } = await upload(image);
      expect({ code, left }).toEqual({ code: image.code, left: [] });
      expect(existsSync(mark)).toBe(false);
    },
  );
});

async function upload({ bytes }: HostileImage): Promise<Ending> {
  const target = { sizeBytes: claim, preallocation: false };
  const staging = await bench.staging(claim);
  const run = (async () => {
    const result = await receiveUpload(Readable.from([bytes]), { staging, ...target }, bench.hooks());
    return result.kind === 'ready' ? result.report : convertReceived(target, staging, bench.hooks());
  })();
  return bench.endingOf(run, staging);
}

function named(corpus: readonly HostileImage[]): (readonly [string, HostileImage])[] {
  return corpus.map((image) => [image.name, image] as const);
}

function refusalOf({ code, left }: { code: string; left: string[] }) {
  const row = Object.entries(faultCatalogue).find(([known]) => known === code)?.[1];
  return { code, left, attempts: row?.retryable === false ? 1 : 'several' };
}

/** A qcow2 is converted while it comes: its tables are looked at by the NBD view, for which qemu-img has to run. */
function isLookedAtWhole(name: string): boolean {
  return /^(?:packed |fixed )?(?:vmdk|vdi|vhd|vhdx)\b/.test(name);
}
