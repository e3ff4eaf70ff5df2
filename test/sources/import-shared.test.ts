// Imports of the same content at once: it is fetched once, by whoever may read it, and each gets a disk of its own.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { type Ending, ImportBench } from '../hostile/import-bench.ts';
import { until } from '../service-fixture.ts';
import { GatedServer } from './gated-server.ts';

const mib = 1_048_576;
const claim = 8 * mib;
const probeBytes = 65_536;
let server: GatedServer;
let bench: ImportBench;
const disk = Buffer.concat([randomBytes(2 * mib), Buffer.alloc(2 * mib), randomBytes(mib), Buffer.alloc(1000, 1)]);
const raw = { bytes: disk, headers: { etag: '"one"' } };

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const grown = (bytes: Buffer, sizeBytes: number): string =>
  sha256(Buffer.concat([bytes, Buffer.alloc(sizeBytes - bytes.length)]));
const strategies = (endings: readonly Ending[]): string[] =>
  endings.map(({ report, code }) => report?.strategy ?? code).sort();

beforeAll(async () => {
  server = await GatedServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  server.reset();
  bench = await ImportBench.make({ keepMs: 60_000, config: { firstByteTimeoutMs: 10_000, idleTimeoutMs: 10_000 } });
});
afterEach(async () => {
  expect(await bench.stagings()).toEqual([]);
  await bench.close();
  expect(await bench.images()).toEqual([]);
});

/** One leads and is held back by the server, the others wait for it. */
async function leaderAndFollowers(
  url: string,
  followers: number,
): Promise<{ leader: AbortController; all: Promise<Ending>[] }> {
  const leader = new AbortController();
  const first = bench.import(url, claim, { signal: leader.signal });
  await until('the leader is under way', () => server.heldRequests > 0);
  const sent = server.sentBytes;
  const others = Array.from({ length: followers }, () => bench.import(url, claim));
  await until('the others have looked', () => server.sentBytes >= sent + followers * probeBytes);
  return { leader, all: [first, ...others] };
}

describe('imports of the same at once', () => {
  test('are one transfer, of which each gets the disk, its digests and its own count of bytes', async () => {
    const url = server.set('raw', raw);
    const { all } = await leaderAndFollowers(url, 5);
    server.letGo();
    const endings = await Promise.all(all);
    expect(strategies(endings)).toEqual(['shared', 'shared', 'shared', 'shared', 'shared', 'stream']);
    expect(server.sentBytes).toBeLessThanOrEqual(disk.length + 6 * probeBytes);
    const [first] = endings;
    for (const { sha256: found, report, lastProgress } of endings) {
      expect(found).toBe(grown(disk, claim));
      expect(report).toMatchObject({ format: 'raw', verified: 'length', sourceDigest: `sha256:${sha256(disk)}` });
      expect(report?.contentDigest).toBe(first?.report?.contentDigest);
      expect(report?.sourceBytes).toBe(disk.length);
      if (report?.strategy !== 'shared') continue;
      expect(report.fetchedBytes).toBe(probeBytes);
      expect(lastProgress).toMatchObject({ bytesDone: disk.length, bytesTotal: disk.length });
    }
    expect(await bench.images()).toHaveLength(1);
  });

  test.each(['qcow2', 'raw.gz'])('of %s too, and who comes a little later takes what is still kept', async (format) => {
    server.letGo();
    const bytes = format === 'qcow2' ? await qcow2Of(disk) : gzipSync(disk);
    const url = server.set(format, { bytes, headers: { etag: '"packed"' } });
    const endings = [await bench.import(url, claim), await bench.import(url, claim), await bench.import(url, claim)];
    expect(endings.map(({ sha256: found }) => found)).toEqual(Array(3).fill(grown(disk, claim)));
    expect(strategies(endings).slice(0, 2)).toEqual(format === 'qcow2' ? ['nbd', 'shared'] : ['shared', 'shared']);
    expect(new Set(endings.map(({ report }) => report?.contentDigest)).size).toBe(1);
    expect(endings.map(({ report }) => report?.format)).toEqual(Array(3).fill(format));
  });

  test('into claims of other sizes have the digest of their own size, and what is too small is told the numbers', async () => {
    server.letGo();
    const url = server.set('gz', { bytes: gzipSync(disk), headers: { etag: '"gz"' } });
    await bench.import(url, claim);
    for (const sizeBytes of [claim + 3 * mib, 6 * mib]) {
      const taken = await bench.import(url, sizeBytes, { preallocation: sizeBytes < claim });
      const alone = await (await aloneBench()).import(url, sizeBytes);
      expect(taken).toMatchObject({
        sha256: grown(disk, sizeBytes),
        report: { strategy: 'shared', virtualSizeBytes: sizeBytes },
      });
      expect(taken.report?.contentDigest).toBe(alone.report?.contentDigest);
    }
    const small = await bench.import(url, 4 * mib);
    expect(small).toMatchObject({ code: 'ImageTooLarge', detail: expect.stringContaining(`${disk.length}`), left: [] });
  });

  test('with a wrong password fails alone, and gets nothing', async () => {
    const users = ['anna:secret', 'otto:hidden'];
    const url = server.set('private', { ...raw, users });
    const as = (username: string, password: string) => ({
      source: {
        ...{ kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false },
        credentials: { username, password },
      },
    });
    const first = bench.import(url, claim, as('anna', 'secret'));
    await until('the leader is under way', () => server.heldRequests > 0);
    const wrong = await bench.import(url, claim, as('anna', 'wrong'));
    expect(wrong).toMatchObject({ code: 'SourceUnauthorized', left: [], sha256: undefined });
    const other = bench.import(url, claim, as('otto', 'hidden'));
    server.letGo();
    expect(strategies(await Promise.all([first, other]))).toEqual(['shared', 'stream']);
    expect((await bench.import(url, claim)).code).toBe('SourceUnauthorized');
  });

  test('a leader that is cancelled hands over, a follower that is cancelled hurts nobody', async () => {
    const url = server.set('raw', raw);
    const { leader, all } = await leaderAndFollowers(url, 2);
    const leaving = new AbortController();
    const fourth = bench.import(url, claim, { signal: leaving.signal });
    await until('it has looked', () => server.sentBytes >= 4 * probeBytes);
    leaving.abort(new Fault('Cancelled', 'enough'));
    expect(await fourth).toMatchObject({ code: 'Cancelled', left: [] });
    leader.abort(new Fault('Cancelled', 'enough'));
    server.letGo();
    const endings = await Promise.all(all);
    expect(endings[0]).toMatchObject({ code: 'Cancelled', sha256: undefined });
    expect(strategies(endings)).toEqual(['Cancelled', 'shared', 'stream']);
    expect(endings[2]?.sha256).toBe(grown(disk, claim));
  });

  test('a checksum is held against the digests of the leader', async () => {
    server.letGo();
    const url = server.set('raw', raw);
    await bench.import(url, claim);
    server.reset();
    const right = bench.import(url, claim, { checksum: `sha256:${sha256(disk)}` });
    expect(await right).toMatchObject({ code: 'complete', report: { strategy: 'shared', verified: 'digest' } });
    const wrong = await bench.import(url, claim, { checksum: `sha256:${'0'.repeat(64)}` });
    expect(wrong).toMatchObject({ code: 'ChecksumMismatch', left: [], sha256: undefined });
    expect(server.heldRequests).toBe(0);
    server.letGo();
    const md5 = `md5:${createHash('md5').update(disk).digest('hex')}`;
    const other = await bench.import(url, claim, { checksum: md5 });
    expect(other).toMatchObject({ code: 'complete', report: { strategy: 'stream', verified: 'digest' } });
    expect((await bench.import(url, claim, { checksum: md5 })).report?.strategy).toBe('shared');
  });

  test('a leader with a wrong checksum fails alone', async () => {
    const url = server.set('raw', raw);
    const first = bench.import(url, claim, { checksum: `sha256:${'0'.repeat(64)}` });
    await until('the leader is under way', () => server.heldRequests > 0);
    const others = [bench.import(url, claim), bench.import(url, claim)];
    await until('the others have looked', () => server.sentBytes >= 3 * probeBytes);
    server.letGo();
    expect(strategies(await Promise.all([first, ...others]))).toEqual(['ChecksumMismatch', 'shared', 'stream']);
  });
});

describe('nothing is shared', () => {
  test.each<[string, Record<string, string>]>([
    ['no validator', {}],
    ['a weak ETag', { etag: 'W/"one"' }],
    ['a date', { 'last-modified': 'Mon, 30 Nov 2026 10:00:00 GMT' }],
    ['an answer by who asks', { etag: '"one"', vary: 'Accept, Authorization' }],
  ])('where the server tells %s', async (_what, headers) => {
    server.letGo();
    const url = server.set('plain', { bytes: disk, headers });
    const endings = [await bench.import(url, claim), await bench.import(url, claim)];
    expect(strategies(endings)).toEqual(['stream', 'stream']);
    expect(await bench.images()).toEqual([]);
  });

  test('of content that changed in between: two validators are two transfers', async () => {
    const url = server.set('raw', raw);
    const { all } = await leaderAndFollowers(url, 1);
    const changed = randomBytes(3 * mib);
    const second = server.set('other', { bytes: changed, headers: { etag: '"two"' } });
    server.set('raw', { bytes: changed, headers: { etag: '"two"' } });
    expect(second).not.toBe(url);
    const late = bench.import(url, claim);
    server.letGo();
    const ended = await late;
    expect(ended).toMatchObject({ sha256: grown(changed, claim), report: { strategy: 'stream' } });
    for (const { sha256: found, code } of await Promise.all(all)) {
      expect(code === 'complete' ? found : code).toBe(code === 'complete' ? grown(disk, claim) : 'SourceChanged');
    }
  });
});

let single: ImportBench | undefined;
async function aloneBench(): Promise<ImportBench> {
  single ??= await ImportBench.make();
  return single;
}
afterAll(() => single?.close());

async function qcow2Of(bytes: Buffer): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'ls-shared-'));
  try {
    await writeFile(join(work, 'raw'), bytes);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
    return await readFile(join(work, 'qcow2'));
  } finally {
    await rm(work, { recursive: true });
  }
}
