// Every way into a volume, as file and as block device: import, upload and clone, between both modes, into a smaller, an equal and a larger volume, with contents
// of zeros, full, sparse, and of a length that no sector divides.
import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { devicePathOf, wholeSectors } from '../domain/block-device.ts';
import { hashBlock, TreeHasher } from '../domain/digest.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import type { AttemptInputs } from '../jobs/attempt-inputs.ts';
import type { Outcome } from '../jobs/channel-protocol.ts';
import type { HttpInputs } from '../jobs/source-inputs.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { isRoot } from '../test/leave-no-device.ts';
import { WorkerFixture } from '../test/worker-fixture.ts';
import type { Pool } from '../volumes/pool.ts';

const mib = 1024 * 1024;
const waiting = { timeout: 20_000, interval: 20 };

const modes = ['Filesystem', 'Block'] as const;
type Mode = (typeof modes)[number];
const sizes = ['smaller', 'equal', 'larger'] as const;

const contents: Readonly<Record<string, Buffer>> = {
  zeros: Buffer.alloc(3 * mib),
  full: randomBytes(3 * mib),
  sparse: Buffer.concat([randomBytes(4096), Buffer.alloc(3 * mib - 8192), randomBytes(4096)]),
  odd: Buffer.concat([randomBytes(2 * mib), Buffer.alloc(1001), randomBytes(700)]),
};
const names = Object.keys(contents);
const sectorBytes = (name: string) => (name === 'odd' || name === 'full' ? 4096 : 512);

let fixture: WorkerFixture;
let source: Server;
let url: string;
const sources = new Map<string, VolumeId>();

const contentOf = (name: string): Buffer => contents[name] ?? Buffer.alloc(0);

function sizeOf(size: (typeof sizes)[number], bytes: number): number {
  return size === 'smaller' ? bytes - mib : size === 'equal' ? bytes : bytes + mib + 3;
}

function heldBy(volumeId: VolumeId): Pool | undefined {
  return fixture.worker?.pools.holderOf(volumeId);
}

function fileOf(volumeId: VolumeId): string {
  return heldBy(volumeId)?.diskPath(volumeId) ?? '';
}

async function volumeOf(name: string, mode: Mode, sizeBytes: number): Promise<VolumeId> {
  return fixture.volume(sizeBytes, 1, mode === 'Block' ? { mode, sectorBytes: sectorBytes(name) } : { mode });
}

async function filled(volumeId: VolumeId, inputs: AttemptInputs): Promise<Outcome> {
  fixture.controller.inputs.set(`${volumeId}.1`, inputs);
  await fixture.enqueue(inputs.operation, volumeId);
  return outcomeOf(volumeId);
}

async function outcomeOf(volumeId: VolumeId): Promise<Outcome> {
  const outcome = await vi.waitFor(() => {
    const told = fixture.controller.outcomeOf(volumeId, 1);
    if (told === undefined) throw new Error('no outcome yet');
    return told;
  }, waiting);
  return outcome;
}

function importInputs(name: string, sizeBytes: number): AttemptInputs {
  const given = { headers: [], certificates: [], insecureSkipVerify: false };
  const http: HttpInputs = { kind: 'http', url: `${url}/${name}`, ...given };
  return { operation: 'import', source: http, sizeBytes, preallocation: false };
}

/** The image and zeros up to the end of the volume, in the volume, by its digest, and by what a consumer reads. */
async function expectContent(name: string, volumeId: VolumeId, mode: Mode, sizeBytes: number, outcome: Outcome) {
  const whole = mode === 'Block' ? wholeSectors(sizeBytes, sectorBytes(name)) : sizeBytes;
  const expected = Buffer.concat([contentOf(name)], whole);
  const path = mode === 'Block' ? devicePathOf(volumeId) : fixture.diskOf(volumeId);
  expect((await readFile(path)).equals(expected)).toBe(true);
  expect(outcome).toMatchObject({ ok: true, report: { virtualSizeBytes: whole } });
  const digest = digestOf(expected);
  const { contentDigest } = await fixture.channel.call('volume.digest', { volumeId, sha256: false });
  expect(contentDigest).toBe(digest);
  if (outcome.ok && outcome.report.strategy !== 'reflink') expect(outcome.report.contentDigest).toBe(digest);
  const { blocks } = await stat(fileOf(volumeId));
  expect(blocks * 512).toBeLessThanOrEqual({ zeros: 4096, sparse: 160 * 1024 }[name] ?? whole + 65_536);
}

function digestOf(content: Buffer): string {
  const tree = new TreeHasher();
  for (let at = 0; at < content.length; at += mib) tree.addLeaf(hashBlock(content.subarray(at, at + mib)));
  return tree.finish(content.length);
}

async function expectRefused(volumeId: VolumeId, outcome: { code: string | undefined }): Promise<void> {
  expect(outcome.code).toBe('ImageTooLarge');
  expect(heldBy(volumeId)?.get(volumeId)?.state).toBe('populating');
  await vi.waitFor(async () => expect(await fixture.stagings()).toEqual([]), waiting);
  await expect(stat(devicePathOf(volumeId))).rejects.toMatchObject({ code: 'ENOENT' });
}

const codeOf = (outcome: Outcome) => ({ code: outcome.ok ? undefined : outcome.fault.code });

// Devices are attached.
describe.skipIf(!isRoot)('into volumes of both modes', () => {
  beforeAll(async () => {
    source = createServer((request, response) => response.end(contentOf(request.url?.slice(1) ?? '')));
    const { port } = await listenOn(source, { host: '127.0.0.1', port: 0 });
    url = `http://127.0.0.1:${port}`;
    fixture = await WorkerFixture.start();
    await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
    for (const name of names) {
      for (const mode of modes) {
        const sizeBytes = contentOf(name).length;
        const volumeId = await volumeOf(name, mode, sizeBytes);
        expect(await filled(volumeId, importInputs(name, sizeBytes))).toMatchObject({ ok: true });
        sources.set(`${name} ${mode}`, volumeId);
      }
    }
  }, 60_000);

  afterAll(async () => {
    await fixture.close();
    await closeServer(source);
  });

  const targets = names.flatMap((name) => modes.flatMap((mode) => sizes.map((size) => [name, mode, size] as const)));

  test.each(targets)('an import of %s into %s, %s', async (name, mode, size) => {
    const sizeBytes = sizeOf(size, contentOf(name).length);
    const volumeId = await volumeOf(name, mode, sizeBytes);
    const outcome = await filled(volumeId, importInputs(name, sizeBytes));
    if (size === 'smaller') await expectRefused(volumeId, codeOf(outcome));
    else await expectContent(name, volumeId, mode, sizeBytes, outcome);
    await fixture.worker?.deleteVolume(volumeId);
  });

  test.each(targets)('an upload of %s into %s, %s', async (name, mode, size) => {
    const sizeBytes = sizeOf(size, contentOf(name).length);
    const volumeId = await fixture.uploadSlot(
      sizeBytes,
      mode === 'Block' ? { mode, sectorBytes: sectorBytes(name) } : { mode },
    );
    const answer = await fixture.upload(volumeId, contentOf(name));
    if (size === 'smaller') await expectRefused(volumeId, { code: answer.fault });
    else {
      expect(answer.status).toBe(200);
      await expectContent(name, volumeId, mode, sizeBytes, await outcomeOf(volumeId));
    }
    await fixture.worker?.deleteVolume(volumeId);
  });

  const clones = targets.flatMap(([name, mode, size]) => modes.map((from) => [name, from, mode, size] as const));

  test.each(clones)('a clone of %s from %s to %s, %s', async (name, from, mode, size) => {
    const sourceVolumeId = sources.get(`${name} ${from}`) ?? '';
    const sourceBytes =
      from === 'Block' ? wholeSectors(contentOf(name).length, sectorBytes(name)) : contentOf(name).length;
    const sizeBytes = sizeOf(size, sourceBytes);
    const volumeId = await volumeOf(name, mode, sizeBytes);
    const inputs = { operation: 'clone' as const, sourceVolumeId, sizeBytes, preallocation: false };
    const outcome = await filled(volumeId, inputs);
    if (size === 'smaller') await expectRefused(volumeId, codeOf(outcome));
    else await expectContent(name, volumeId, mode, sizeBytes, outcome);
    await fixture.worker?.deleteVolume(volumeId);
  });

  test.each(modes)('a preallocated %s volume has all its blocks, also what it grows by', async (mode) => {
    const volumeId = await volumeOf('zeros', mode, 3 * mib);
    const outcome = await filled(volumeId, { ...importInputs('zeros', 3 * mib), preallocation: true });
    expect(outcome).toMatchObject({ ok: true, report: { allocatedBytes: expect.any(Number) } });
    if (outcome.ok) expect(outcome.report.allocatedBytes).toBeGreaterThanOrEqual(3 * mib);
    await fixture.channel.call('volume.expand', { volumeId, sizeBytes: 5 * mib });
    const { blocks } = await stat(fileOf(volumeId));
    expect(blocks * 512).toBeGreaterThanOrEqual(5 * mib);
    await fixture.worker?.deleteVolume(volumeId);
  });
});
