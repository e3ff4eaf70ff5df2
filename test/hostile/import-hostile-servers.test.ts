// Every way in which a web server can misbehave, and what the import makes of it: the right disk, or its own fault, early, with nothing left behind.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { faultRecord } from '../../domain/fault.ts';
import { probeSource } from '../../importer/probe-source.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const claim = 8 * mib;
let bench: ImportBench;
let server: HostileServer;
let expected: string;
let raw: Buffer;

/** A disk of 4 MiB: data, a hole, data. */
function makeRaw(): Buffer {
  const disk = Buffer.alloc(4 * mib);
  randomBytes(mib + 12_345).copy(disk, 100);
  randomBytes(300_000).copy(disk, 3 * mib);
  return disk;
}

async function serveImages(): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'longshore-served-'));
  try {
    const path = join(work, 'raw');
    await writeFile(path, raw);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', path, join(work, 'qcow2')]);
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', path, join(work, 'zlib')]);
    for (const name of ['raw', 'qcow2']) {
      execFileSync('gzip', ['-k', join(work, name)]);
      execFileSync('xz', ['-k', '-0', join(work, name)]);
      execFileSync('zstd', ['-q', join(work, name)]);
    }
    const names = ['raw', 'qcow2', 'zlib', 'raw.gz', 'raw.xz', 'raw.zst', 'qcow2.gz', 'qcow2.xz', 'qcow2.zst'];
    for (const name of names) server.set(name, await readFile(join(work, name)));
    execFileSync('gzip', ['-k', join(work, 'raw.xz')]);
    server.set('raw.xz.gz', await readFile(join(work, 'raw.xz.gz')));
    execFileSync('bzip2', ['-k', path]);
    server.set('raw.bz2', await readFile(join(work, 'raw.bz2')));
    const qcow2 = await readFile(join(work, 'qcow2'));
    server.set('cut-qcow2', qcow2.subarray(0, qcow2.length - 200_000));
    const gz = await readFile(join(work, 'raw.gz'));
    server.set('cut.gz', gz.subarray(0, gz.length - 1000));
    const spoiled = Buffer.from(gz);
    spoiled.writeUInt8(spoiled.readUInt8(gz.length - 6) ^ 1, gz.length - 6);
    server.set('wrong-crc.gz', spoiled);
    const xz = await readFile(join(work, 'raw.xz'));
    server.set('cut.xz', xz.subarray(0, xz.length - 1000));
    const zst = await readFile(join(work, 'raw.zst'));
    server.set('cut.zst', zst.subarray(0, zst.length - 1000));
    server.set('leading.zst', Buffer.concat([Buffer.from('502a4d180400000000000100', 'hex'), zst]));
    server.set('garbage-after.zst', Buffer.concat([zst, Buffer.from('garbage')]));
    execFileSync('sh', ['-c', `head -c ${64 * mib} /dev/zero | gzip -1 > ${join(work, 'bomb.gz')}`]);
    server.set('bomb.gz', await readFile(join(work, 'bomb.gz')));
  } finally {
    await rm(work, { recursive: true });
  }
}

beforeAll(async () => {
  bench = await ImportBench.make();
  server = await HostileServer.start();
  raw = makeRaw();
  expected = createHash('sha256')
    .update(Buffer.concat([raw, Buffer.alloc(claim - raw.length)]))
    .digest('hex');
  await serveImages();
  server.set('empty', Buffer.alloc(0));
  server.set('page', Buffer.from(`<!doctype html><html><body>${'not here '.repeat(400)}</body></html>`));
  server.set('json', Buffer.from(JSON.stringify({ error: 'x'.repeat(5000) })));
  server.set('short', Buffer.from('not found'));
  server.set('large', Buffer.alloc(claim + 512, 1));
  server.set('vmdk', Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(70_000)]));
  server.set('zip', Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), Buffer.alloc(70_000)]));
});

beforeEach(() => server.forget());

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
});

describe('an import that ends well', () => {
  const good: [behaviour: string, name: string, format: string, strategy: string, verified: string][] = [
    ['ranges', 'raw', 'raw', 'stream', 'length'],
    ['ranges', 'raw.gz', 'raw.gz', 'stream', 'length'],
    ['ranges', 'raw.xz', 'raw.xz', 'stream', 'length'],
    ['ranges', 'raw.zst', 'raw.zst', 'stream', 'length'],
    ['ranges', 'leading.zst', 'raw.zst', 'stream', 'length'],
    ['ranges', 'raw.xz.gz', 'raw.xz.gz', 'stream', 'length'],
    ['ranges', 'qcow2', 'qcow2', 'nbd', 'length'],
    ['ranges', 'zlib', 'qcow2', 'nbd', 'length'],
    ['ranges', 'qcow2.gz', 'qcow2.gz', 'staged', 'length'],
    ['ranges', 'qcow2.xz', 'qcow2.xz', 'staged', 'length'],
    ['no-ranges', 'qcow2.zst', 'qcow2.zst', 'staged', 'length'],
    ['no-ranges', 'raw', 'raw', 'stream', 'length'],
    ['no-ranges', 'qcow2', 'qcow2', 'staged', 'length'],
    ['no-length', 'raw', 'raw', 'stream', 'none'],
    ['no-length', 'qcow2', 'qcow2', 'staged', 'none'],
    ['close-delimited', 'raw', 'raw', 'stream', 'none'],
    ['no-validator', 'raw', 'raw', 'stream', 'length'],
    ['no-validator', 'qcow2', 'qcow2', 'staged', 'length'],
    ['unknown-total', 'raw', 'raw', 'stream', 'length'],
    ['416', 'raw', 'raw', 'stream', 'length'],
    ['drops-once', 'raw', 'raw', 'stream', 'length'],
    ['drops-once', 'raw.gz', 'raw.gz', 'stream', 'length'],
    ['ranges', 'raw.bz2', 'raw.bz2', 'stream', 'length'],
    ['redirects-5', 'raw', 'raw', 'stream', 'length'],
    ['redirects-5', 'qcow2', 'qcow2', 'nbd', 'length'],
    ['mirrors', 'raw', 'raw', 'stream', 'length'],
    ['mirrors', 'qcow2', 'qcow2', 'nbd', 'length'],
    ['wrong-type', 'raw', 'raw', 'stream', 'length'],
    ['gzip-on-the-wire', 'raw', 'raw.gz', 'stream', 'length'],
    ['busy-twice', 'raw', 'raw', 'stream', 'length'],
    ['fails-thrice', 'raw', 'raw', 'stream', 'length'],
    ['fails-thrice', 'qcow2', 'qcow2', 'nbd', 'length'],
    ['resets-once', 'raw', 'raw', 'stream', 'length'],
    ['strict-end', 'raw', 'raw', 'stream', 'length'],
  ];
  test.each(good)(
    '%s/%s becomes the disk (%s by %s, verified: %s)',
    async (behaviour, name, format, strategy, verified) => {
      const ending = await bench.import(server.url(behaviour, name), claim);
      expect(ending.detail).toBe('');
      expect(ending.sha256).toBe(expected);
      expect(ending.report).toMatchObject({ format, strategy, verified, virtualSizeBytes: claim });
      expect(ending.left.filter((file) => file !== 'children.json' && file !== 'source')).toEqual(['disk.img']);
      expect(ending.report?.allocatedBytes).toBeLessThan(2.5 * mib);
    },
  );

  test('no byte is asked for twice where nothing goes wrong', async () => {
    const { report } = await bench.import(server.url('ranges', 'raw'), claim);
    expect(report?.fetchedBytes).toBe(raw.length);
    expect(server.sentBytes).toBe(raw.length);
    expect(server.seen.map(({ range }) => range)).toEqual(['bytes=0-65535', `bytes=65536-${raw.length - 1}`]);
  });

  test('the digest of the content is the same whatever it came in', async () => {
    const names = ['raw', 'raw.xz', 'qcow2', 'qcow2.gz'];
    const endings = [];
    for (const name of names) endings.push(await bench.import(server.url('ranges', name), claim));
    expect(new Set(endings.map(({ report }) => report?.contentDigest)).size).toBe(1);
  });

  test('half of a raw disk that nobody tells from a whole one is not called verified, and a checksum tells it', async () => {
    const url = server.url('half-and-closed', 'raw');
    expect((await bench.import(url, claim)).report).toMatchObject({ verified: 'none' });
    const checksum = `sha1:${createHash('sha1').update(raw).digest('hex')}`;
    expect(await bench.import(url, claim, { checksum })).toMatchObject({ code: 'ChecksumMismatch' });
  });

  test('what changes behind an ETag that lies only a checksum tells', async () => {
    const checksum = `sha512:${createHash('sha512').update(raw).digest('hex')}`;
    const ending = await bench.import(server.url('etag-lies', 'raw'), claim, { checksum });
    expect(ending).toMatchObject({ code: 'ChecksumMismatch', sha256: undefined });
  });

  test.each(['md5', 'sha1', 'sha256', 'sha512'])(
    'a %s checksum is verified, or told with both digests',
    async (name) => {
      for (const image of ['raw', 'raw.zst', 'qcow2']) {
        const { report } = await bench.import(server.url('no-length', image), claim, {
          checksum: `${name}:${createHash(name).update(server.contentOf(image)).digest('hex')}`,
        });
        expect(report?.verified).toBe('digest');
      }
      const other = `${name}:${createHash(name).update('other').digest('hex')}`;
      const { code, detail } = await bench.import(server.url('ranges', 'qcow2'), claim, { checksum: other });
      expect(code).toBe('ChecksumMismatch');
      expect(detail).toContain(`asked ${other}, found ${name}:`);
    },
  );

  test('a checksum that agrees is verified, also of a qcow2', async () => {
    for (const name of ['raw', 'raw.gz', 'qcow2']) {
      const { report: first } = await bench.import(server.url('no-ranges', name), claim);
      const checksum = first?.sourceDigest ?? '';
      const { report } = await bench.import(server.url('ranges', name), claim, { checksum });
      expect(report).toMatchObject({ verified: 'digest', sourceDigest: checksum });
    }
  });

  test('credentials and headers go to the named origin only', async () => {
    const other = await HostileServer.start();
    other.set('raw', raw);
    server.redirectTo = other.url('ranges', 'raw');
    const source = {
      kind: 'http' as const,
      url: server.url('redirect', 'raw'),
      credentials: { username: 'user', password: 'secret' },
      headers: [['X-Extra', 'mine']] as const,
      certificates: [],
      insecureSkipVerify: false,
    };
    const { sha256 } = await bench.import('', claim, { source });
    expect(sha256).toBe(expected);
    expect(server.seen).toHaveLength(1);
    expect(server.seen[0]).toMatchObject({
      extra: 'mine',
      userAgent: 'longshore',
      authorization: expect.stringContaining('Basic'),
    });
    expect(other.seen.every(({ extra, authorization }) => extra === undefined && authorization === undefined)).toBe(
      true,
    );
    const { sha256: same } = await bench.import('', claim, {
      source: { ...source, url: server.url('password', 'raw') },
    });
    expect(same).toBe(expected);
    await other.stop();
  });

  test('a blank disk is a hole', async () => {
    const { report, left } = await bench.import('', claim, { source: { kind: 'blank' } });
    expect(report).toMatchObject({ format: 'blank', allocatedBytes: 0, virtualSizeBytes: claim });
    expect(left).toEqual(['disk.img']);
  });
});

describe('an import that is refused', () => {
  /** Behaviour, name, code, most bytes that the server may have sent. */
  const early = 600_000;
  const bad: [behaviour: string, name: string, code: string, most: number][] = [
    ['400', 'raw', 'SourceRefused', early],
    ['password', 'raw', 'SourceUnauthorized', early],
    ['403', 'raw', 'SourceForbidden', early],
    ['404', 'raw', 'SourceNotFound', early],
    ['408', 'raw', 'SourceUnavailable', early],
    ['410', 'raw', 'SourceNotFound', early],
    ['429', 'raw', 'SourceUnavailable', early],
    ['451', 'raw', 'SourceRefused', early],
    ['500', 'raw', 'SourceUnavailable', early],
    ['503', 'raw', 'SourceUnavailable', early],
    ['redirect-loop', 'raw', 'RedirectRefused', early],
    ['redirect-file', 'raw', 'RedirectRefused', early],
    ['redirect-nowhere', 'raw', 'RedirectRefused', early],
    ['no-http', 'raw', 'SourceRefused', early],
    ['never-answers', 'raw', 'SourceStalled', early],
    ['stalls', 'raw', 'SourceStalled', early],
    ['trickles', 'raw', 'SourceStalled', 2 * mib],
    ['asks-for-a-pause', 'raw', 'SourceUnavailable', early],
    ['ranges', 'page', 'NotADiskImage', early],
    ['no-length', 'page', 'NotADiskImage', early],
    ['ranges', 'json', 'NotADiskImage', early],
    ['ranges', 'short', 'NotADiskImage', early],
    ['ranges', 'empty', 'NotADiskImage', early],
    ['no-ranges', 'empty', 'NotADiskImage', early],
    ['ranges', 'vmdk', 'UnsupportedFormat', early],
    ['ranges', 'zip', 'NotADiskImage', early],
    ['ranges', 'large', 'ImageTooLarge', early],
    ['ranges', 'cut-qcow2', 'CorruptImage', early],
    ['no-ranges', 'cut-qcow2', 'CorruptImage', 2 * mib],
    ['no-length', 'cut-qcow2', 'CorruptImage', 2 * mib],
    ['no-length', 'large', 'ImageTooLarge', 9 * mib],
    ['ranges', 'bomb.gz', 'ImageTooLarge', mib],
    ['ranges', 'cut.gz', 'CorruptCompression', 2 * mib],
    ['ranges', 'wrong-crc.gz', 'CorruptCompression', 2 * mib],
    ['ranges', 'cut.xz', 'CorruptCompression', 2 * mib],
    ['ranges', 'cut.zst', 'CorruptCompression', 2 * mib],
    ['ranges', 'garbage-after.zst', 'CorruptCompression', 2 * mib],
    ['declares-more', 'raw', 'SourceTruncated', 10 * mib],
    ['declares-more', 'qcow2', 'SourceTruncated', 10 * mib],
    ['declares-less', 'raw', 'SourceTooLong', 5 * mib],
    ['breaks-chunked', 'raw', 'SourceTruncated', 10 * mib],
    ['always-drops', 'raw', 'SourceUnreachable', 5 * mib],
    ['half-and-closed', 'qcow2', 'CorruptImage', 5 * mib],
    ['half-and-closed', 'raw.gz', 'CorruptCompression', 5 * mib],
    ['half-and-closed', 'raw.xz', 'CorruptCompression', 5 * mib],
    ['changes-etag', 'raw', 'SourceChanged', 5 * mib],
    ['changes-silently', 'raw', 'SourceChanged', 5 * mib],
    ['changes-silently', 'qcow2', 'SourceChanged', 5 * mib],
    ['shrinks', 'raw', 'SourceTruncated', 5 * mib],
  ];
  test.each(bad)('%s/%s is %s', async (behaviour, name, code, most) => {
    const ending = await bench.import(server.url(behaviour, name), claim);
    expect({ code: ending.code, detail: ending.detail }).toEqual({ code, detail: ending.detail });
    expect(server.sentBytes).toBeLessThanOrEqual(most);
    expect(ending.left.filter((file) => !['disk.img', 'source', 'children.json'].includes(file))).toEqual([]);
    if (most === early) expect(ending.left).toEqual([]);
  });

  /** Twice at the same byte it is short; a reset may take bytes with it that were on the way. */
  test.each(['raw', 'qcow2'])('a reset is no end of %s, where nobody told its length', async (name) => {
    const ending = await bench.import(server.url('half-and-reset', name), claim);
    expect(ending).toMatchObject({ code: expect.stringMatching(/^Source(Truncated|Interrupted)$|^CorruptImage$/) });
    expect(ending.report).toBeUndefined();
  });

  test.each([
    ['asks-for-a-pause', 120, 120],
    ['asks-for-a-date', 90, 101],
  ])('a server that %s is told with the pause that it wants', async (behaviour, least, most) => {
    const { fault } = await bench.import(server.url(behaviour, 'raw'), claim);
    const seconds = faultRecord(fault ?? expect.unreachable()).retryAfterSeconds;
    expect(seconds).toBeGreaterThanOrEqual(least);
    expect(seconds).toBeLessThanOrEqual(most);
    expect(fault?.detail).toContain(`asks for a pause of ${seconds} s`);
  });

  test('what is too large is told with the four numbers', async () => {
    const { detail } = await bench.import(server.url('ranges', 'large'), claim);
    expect(detail).toContain(String(claim + 512));
    expect(detail).toContain(`requested: ${claim}`);
    expect(detail).toContain(`usable: ${claim}`);
    expect(detail).toContain(`smallest request that works: ${9 * mib}`);
  });

  test('a checksum that differs is told with both digests', async () => {
    const checksum = `md5:${'0'.repeat(32)}`;
    for (const name of ['raw', 'raw.gz', 'qcow2']) {
      const { code, detail } = await bench.import(server.url('ranges', name), claim, { checksum });
      expect(code).toBe('ChecksumMismatch');
      expect(detail).toMatch(/asked md5:0{32}, found md5:[0-9a-f]{32}/);
    }
  });

  test('an address where nobody listens cannot be reached, and a name that does not exist is unknown', async () => {
    const closed = await HostileServer.start();
    const url = closed.url('ranges', 'raw');
    await closed.stop();
    expect(await bench.import(url, claim)).toMatchObject({ code: 'SourceUnreachable', left: [] });
    expect(await bench.import('http://no-such-host.invalid/raw', claim)).toMatchObject({
      code: 'SourceNameUnknown',
      left: [],
    });
    expect(await bench.import('ftp://127.0.0.1/raw', claim)).toMatchObject({ code: 'SourceRefused', left: [] });
  });

  test('an abort ends a transfer that hangs, with its reason', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    const ending = await bench.import(server.url('stalls', 'raw'), claim, { signal: stop.signal });
    expect(ending).toMatchObject({ code: 'Cancelled', left: [] });
  });
});

describe('looking at a source without importing it', () => {
  const look = (behaviour: string, name: string) => {
    const url = server.url(behaviour, name);
    const location = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
    return probeSource(location, bench.hooks());
  };

  test('tells format and size from the first bytes, and fetches no more', async () => {
    server.forget();
    expect(await look('ranges', 'qcow2')).toMatchObject({ format: 'qcow2', virtualSizeBytes: 4 * mib });
    expect(server.sentBytes).toBeLessThan(mib);
    expect(await look('no-ranges', 'raw')).toMatchObject({ format: 'raw', virtualSizeBytes: 4 * mib });
    expect(await look('ranges', 'qcow2.zst')).toMatchObject({ format: 'qcow2.zst', virtualSizeBytes: 4 * mib });
  });

  test('says nothing of a size that only the end tells, and tells faults like an import', async () => {
    expect((await look('ranges', 'raw.gz')).virtualSizeBytes).toBeUndefined();
    await expect(look('nothing-here', 'raw')).rejects.toMatchObject({ code: 'SourceNotFound' });
  });
});
