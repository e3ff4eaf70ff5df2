// Each source that cannot be imported, through the whole service: what the command prints and how it ends, what the object tells, how often the
// source was asked, and that nothing is left in the pool.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { HostileServer } from '../hostile/hostile-server.ts';
import { goodQcow2, hostileQcow2Images } from '../hostile/qcow2-corpus.ts';
import { Service } from '../service-fixture.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const attemptLimit = 3;
let service: Service;
let user: ServiceUser;
let server: HostileServer;
let untrusted: Server;
let untrustedUrl: string;

beforeAll(async () => {
  const environment = { LONGSHORE_ATTEMPT_LIMIT: String(attemptLimit), LONGSHORE_BACKOFF_BASE_MS: '20' };
  [service, server] = await Promise.all([Service.start({ environment }), HostileServer.start()]);
  user = new ServiceUser(service, 'bad');
  await startUntrusted();
  serveImages();
}, 120_000);

afterAll(async () => {
  await server.stop();
  await closeServer(untrusted);
  await service.stop();
});

beforeEach(() => server.forget());

async function startUntrusted(): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'longshore-untrusted-'));
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=untrusted', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', [...request, ...names, '-keyout', 'key', '-out', 'crt'], { cwd: work, stdio: 'ignore' });
  const [key, cert] = await Promise.all([readFile(join(work, 'key')), readFile(join(work, 'crt'))]);
  await rm(work, { recursive: true });
  untrusted = createServer({ key, cert }, (_request, response) => response.end());
  const { port } = await listenOn(untrusted, { host: '127.0.0.1', port: 0 });
  untrustedUrl = `https://127.0.0.1:${port}/disk.img`;
}

function serveImages(): void {
  const disk = randomBytes(3 * MiB);
  const corpus = hostileQcow2Images();
  const lying = (name: string) => corpus.find((image) => image.name === name)?.bytes ?? Buffer.alloc(0);
  const larger = goodQcow2();
  larger.writeBigUInt64BE(BigInt(64 * MiB), 24);
  const gzip = gzipSync(disk, { level: 1 });
  const images: Record<string, Buffer> = {
    raw: disk,
    page: Buffer.from(`<!DOCTYPE html><html><body>${'not here '.repeat(9000)}</body></html>`),
    large: Buffer.concat([disk, disk, disk]),
    'large.qcow2': Buffer.concat([larger, Buffer.alloc(4 * MiB)]),
    'backing.qcow2': lying('backing file /etc/passwd'),
    'data-file.qcow2': lying('external data file'),
    'corrupt.qcow2': lying('L2 table beyond the end'),
    'cut.qcow2': lying('cut in its last cluster'),
    'cut.gz': gzip.subarray(0, gzip.length - 100_000),
    'bomb.gz': gzipSync(Buffer.alloc(64 * MiB)),
  };
  for (const [name, bytes] of Object.entries(images)) server.set(name, bytes);
}

interface BadSource {
  what: string;
  /** Behaviour of the server and name of the content. */
  at: [behaviour: string, name: string];
  code: FaultCode;
  /** Most bytes of bodies that the server may have sent. */
  most?: number;
  /** What the detail must hold. */
  tells?: readonly string[];
  words?: readonly string[];
  /** How often the content was begun to be read within the one attempt. */
  begun?: number;
}

const claim = 8 * MiB;
const permanent: BadSource[] = [
  { what: 'a page that does not exist', at: ['404', 'raw'], code: 'SourceNotFound' },
  { what: 'a page that wants a password', at: ['password', 'raw'], code: 'SourceUnauthorized' },
  { what: 'HTML instead of an image', at: ['ranges', 'page'], code: 'NotADiskImage', most: MiB },
  { what: 'HTML of unknown length', at: ['no-length', 'page'], code: 'NotADiskImage', most: MiB },
  { what: 'a file that became shorter', at: ['shrinks', 'raw'], code: 'SourceTruncated' },
  {
    what: 'a truncated body',
    at: ['declares-more', 'raw'],
    code: 'SourceTruncated',
    begun: 2,
    tells: ['ended twice at byte'],
  },
  { what: 'a truncated body of unknown length', at: ['breaks-chunked', 'raw'], code: 'SourceTruncated', begun: 2 },
  { what: 'a body longer than declared', at: ['declares-less', 'raw'], code: 'SourceTooLong' },
  {
    ...{ what: 'a wrong checksum', at: ['ranges', 'raw'], code: 'ChecksumMismatch', tells: ['sha256:0000'] },
    words: ['--checksum', `sha256:${'0'.repeat(64)}`],
  },
  {
    ...{ what: 'a raw image larger than the claim', at: ['ranges', 'large'], code: 'ImageTooLarge', most: MiB },
    tells: [`${9 * MiB}`, `requested: ${claim}`, `usable: ${claim}`, `smallest request that works: ${9 * MiB}`],
  },
  {
    ...{ what: 'a qcow2 larger than the claim', at: ['ranges', 'large.qcow2'], code: 'ImageTooLarge', most: MiB },
    tells: [`${64 * MiB}`, `requested: ${claim}`, `usable: ${claim}`, `smallest request that works: ${64 * MiB}`],
  },
  { what: 'a qcow2 with a backing file', at: ['ranges', 'backing.qcow2'], code: 'HostileImage' },
  { what: 'a qcow2 with a data file', at: ['ranges', 'data-file.qcow2'], code: 'HostileImage' },
  { what: 'a qcow2 with a backing file, staged', at: ['no-ranges', 'backing.qcow2'], code: 'HostileImage' },
  { what: 'a corrupt qcow2', at: ['ranges', 'corrupt.qcow2'], code: 'CorruptImage' },
  { what: 'a cut qcow2', at: ['ranges', 'cut.qcow2'], code: 'CorruptImage' },
  { what: 'a cut qcow2 of unknown length', at: ['no-length', 'cut.qcow2'], code: 'CorruptImage' },
  { what: 'a gzip that ends early', at: ['ranges', 'cut.gz'], code: 'CorruptCompression' },
  {
    ...{ what: 'a decompression bomb', at: ['ranges', 'bomb.gz'], code: 'ImageTooLarge', most: MiB },
    tells: [`requested: ${claim}`],
  },
];

/** How often the source was read from its beginning: once an attempt. */
function beginnings(): number {
  return server.seen.filter(({ range }) => range === undefined || range.startsWith('bytes=0-')).length;
}

describe('what will never be an import fails at once', () => {
  test.each(permanent)('$what is $code', async ({ what, at, code, most, tells = [], words = [], begun = 1 }) => {
    const name = what.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
    const ended = await user.run('import', server.url(...at), user.nameOf(name), '--size', '8Mi', '--wait', ...words);
    expectTold(ended, code);
    const volume = await user.expectFailed(name, code);
    for (const text of tells) {
      expect(ended.stderr).toContain(text);
      expect(volume.status?.longshore?.fault?.detail).toContain(text);
    }
    expect(volume.status?.restartCount ?? 0).toBe(0);
    expect(beginnings()).toBe(begun);
    if (most !== undefined) expect(server.sentBytes).toBeLessThan(most);
  });

  test('a server with an unknown CA is SourceUntrusted', async () => {
    const ended = await user.run('import', untrustedUrl, user.nameOf('untrusted'), '--size', '8Mi', '--wait');
    expectTold(ended, 'SourceUntrusted');
    await user.expectFailed('untrusted', 'SourceUntrusted');
  });
});

describe('what may pass is tried again, within a limit', () => {
  test('a refused connection', async () => {
    const closed = await HostileServer.start();
    const url = closed.url('ranges', 'raw');
    await closed.stop();
    const ended = await user.run('import', url, user.nameOf('refused'), '--size', '8Mi', '--wait');
    expectTold(ended, 'BudgetExhausted');
    expect(ended.stderr).toContain('last: SourceUnreachable');
    expect(ended.stderr.match(/next attempt at/g)).toHaveLength(attemptLimit - 1);
    const volume = await user.expectFailed('refused', 'BudgetExhausted', attemptLimit);
    expect(volume.status?.restartCount).toBe(attemptLimit - 1);
  });

  test('a server that comes back in time', async () => {
    await user.run('import', server.url('drops-once', 'raw'), user.nameOf('dropped'), '--size', '8Mi', '--wait');
    const volume = await user.untilPhase('dropped', 'Succeeded');
    expect(volume.status?.longshore?.fault).toBeUndefined();
    expect(user.staged()).toEqual([]);
  });
});

describe('a name that is none', () => {
  test.each(['bad/..', 'bad/../../etc', '../x', 'bad/a..b', 'bad/%2e%2e'])(
    '%s is refused by the command',
    async (name) => {
      const ended = await user.run('import', server.url('ranges', 'raw'), name, '--size', '8Mi');
      expect(ended.code).toBe(faultCatalogue.InvalidRequest.exit);
      expect(ended.stderr).toMatch(/expected NAMESPACE\/NAME|RFC 1123/);
      expect(server.seen).toEqual([]);
    },
  );

  test.each(['..', '../../etc/passwd', 'a..b', 'a/b'])('%s is refused by the API', async (name) => {
    const { status, body } = await service.call<{ reason: string; message: string }>('POST', user.volumesPath, {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name } },
      spec: { source: { blank: {} }, storage: { resources: { requests: { storage: '8Mi' } } } },
    });
    expect({ status, reason: body.reason }).toEqual({ status: 422, reason: 'Invalid' });
    expect(body.message).toContain('RFC 1123');
  });

  test.each(['%2e%2e%2f%2e%2e%2fetc', '..%00', 'a%2f..%2fb'])('%s in a path finds nothing', async (name) => {
    const { status } = await service.call('GET', `${user.volumesPath}/${name}`);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
  });

  test('a claim that asks for an unknown namespace with dots', async () => {
    const path = '/apis/cdi.kubevirt.io/v1beta1/namespaces/..%2f..%2fx/datavolumes';
    expect((await service.call('POST', path, { metadata: { name: 'x' } })).status).toBeGreaterThanOrEqual(400);
  });
});

test('afterwards good images are still taken', async () => {
  const path = join(service.directory, 'after.img');
  await writeFile(path, randomBytes(MiB));
  expect((await user.run('upload', path, user.nameOf('after'))).code).toBe(0);
  const ended = await user.run('import', server.url('ranges', 'raw'), user.nameOf('good'), '--size', '8Mi', '--wait');
  expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
  expect(user.staged()).toEqual([]);
});
