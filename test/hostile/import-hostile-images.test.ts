// Qcow2 images that lie must be refused before qemu-img is ever started: here qemu-img is a program that leaves a mark when it runs.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { receiveUpload } from '../../importer/receive-upload.ts';
import { Programs } from '../../runtime/programs.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';
import { goodQcow2, goodVirtualBytes, hostileQcow2Images } from './qcow2-corpus.ts';

const claim = 4 * 1_048_576;
const images = hostileQcow2Images();
let work: string;
let mark: string;
let bench: ImportBench;
let server: HostileServer;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-decoy-'));
  mark = join(work, 'qemu-img-ran');
  const decoy = join(work, 'qemu-img');
  await writeFile(decoy, `#!/bin/sh\ntouch ${mark}\nexit 1\n`, { mode: 0o755 });
  bench = await ImportBench.make({ programs: new Programs(new Map([['qemu-img', decoy]])) });
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
    expect(images.length).toBeGreaterThanOrEqual(25);
    const path = join(work, 'good.qcow2');
    await writeFile(path, goodQcow2());
    execFileSync('qemu-img', ['check', '-f', 'qcow2', path]);
    const real = await ImportBench.make();
    server.set('good', goodQcow2());
    const { sha256 } = await real.import(server.url('ranges', 'good'), goodVirtualBytes);
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, join(work, 'good.raw')]);
    expect(sha256).toBe(
      createHash('sha256')
        .update(await readFile(join(work, 'good.raw')))
        .digest('hex'),
    );
    await real.close();
  });

  test.each(images.map((image) => [image.name, image] as const))('%s is refused', async (_name, image) => {
    server.set('image', image.bytes);
    server.forget();
    const ending = await bench.import(server.url('ranges', 'image'), claim);
    expect({ code: ending.code, left: ending.left }).toEqual({ code: image.code, left: [] });
    expect(server.sentBytes).toBeLessThan(1_048_576);
    expect(existsSync(mark)).toBe(false);
  });

  test('an upload of what the header alone tells is refused before it is read on', async () => {
    for (const image of images.filter(({ code }) => code === 'HostileImage' || code === 'ImageTooLarge')) {
      const staging = await bench.staging(claim);
      const run = receiveUpload(
        Readable.from([image.bytes]),
        { staging, sizeBytes: claim, preallocation: false },
        bench.hooks(),
      );
      const ending = await bench.endingOf(
        run.then(() => undefined),
        staging,
      );
      expect({ name: image.name, code: ending.code, left: ending.left }).toEqual({
        name: image.name,
        code: image.code,
        left: [],
      });
    }
    expect(existsSync(mark)).toBe(false);
  });
});
