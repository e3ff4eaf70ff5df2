// Container disks in Debian's docker-registry, made by umoci and pushed by skopeo, in every way that they are packed and protected.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importPKCS8, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RegistryLocation } from '../../importer/registry/registry-store.ts';
import { versionOfSource } from '../../importer/version-of-source.ts';
import { closeServer, formatAddress, listenOn } from '../../runtime/listen.ts';
import { type Ending, ImportBench } from '../hostile/import-bench.ts';
import { DebianRegistry, makeLayout, skopeo } from './debian-registry.ts';

const mib = 1_048_576;
const sizeBytes = 4 * mib;
const disk = Buffer.concat([randomBytes(mib), Buffer.alloc(mib), randomBytes(mib)]);
const whole = createHash('sha256')
  .update(Buffer.concat([disk, Buffer.alloc(mib)]))
  .digest('hex');
/** `me:mine`, as `htpasswd -B` writes it. */
const crypted = execFileSync('perl', ['-e', 'print crypt("mine", q{$2b$05$abcdefghijklmnopqrstuu})']).toString();
const credentials = { username: 'me', password: 'mine' };
let bench: ImportBench;
let work: string;
let authority: string;
let plain: DebianRegistry;
let secure: DebianRegistry;
let guarded: DebianRegistry;
let tokens: Server;

const at = (...names: string[]) => join(work, ...names);

async function makeTokenServer(): Promise<Server> {
  const key = await importPKCS8(await readFile(at('key'), 'utf8'), 'RS256');
  const x5c = [authority.replaceAll(/-----.*-----|\n/g, '')];
  const right = `Basic ${Buffer.from('me:mine').toString('base64')}`;
  return createServer(async ({ url = '', headers }, response) => {
    const { searchParams } = new URL(url, 'http://localhost');
    const access = searchParams.getAll('scope').map((scope) => {
      const [type, name, actions = ''] = scope.split(':');
      return { type, name, actions: headers.authorization === right ? actions.split(',') : [] };
    });
    const jwt = new SignJWT({ access }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', x5c });
    const claims = jwt.setIssuer('tests').setAudience('disks').setSubject('me').setJti(randomBytes(8).toString('hex'));
    const token = await claims.setIssuedAt().setNotBefore('-10s').setExpirationTime('5m').sign(key);
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ token }));
  });
}

async function makeImages(): Promise<void> {
  for (const name of ['raw', 'qcow2', 'packed', 'two', 'link']) await mkdir(at(name));
  await writeFile(at('raw/disk.img'), disk);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', at('raw/disk.img'), at('qcow2/disk.qcow2')]);
  execFileSync('xz', ['-k', '-0', at('raw/disk.img')]);
  execFileSync('mv', [at('raw/disk.img.xz'), at('packed/disk.img.xz')]);
  await writeFile(at('two/a.img'), disk);
  await writeFile(at('two/b.img'), disk);
  await symlink('/etc/passwd', at('link/disk.img'));
  const environment = 'INSTANCETYPE_KUBEVIRT_IO_DEFAULT_INSTANCETYPE=u1.small';
  await makeLayout(at('l-raw'), at('raw'), { environment });
  for (const name of ['qcow2', 'packed', 'two', 'link']) await makeLayout(at(`l-${name}`), at(name));
  await makeLayout(at('l-arm'), at('raw'), { architecture: 'arm64' });
  // The upper layer deletes what the lower one has under /disk.
  await makeLayout(at('l-over'), at('two'));
  execFileSync('umoci', ['insert', '--rootless', '--opaque', '--image', at('l-over:image'), at('qcow2'), '/disk']);
}

async function push(layout: string, reference: string, ...words: string[]): Promise<void> {
  const to = `docker://${plain.host}/${reference}`;
  await skopeo('copy', '-q', '--dest-tls-verify=false', ...words, `oci:${at(layout)}:image`, to);
}

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-images-'));
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-subj', '/CN=test'];
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'key', '-out', 'ca.crt', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...made, ...names], { cwd: work, stdio: 'ignore' });
  authority = await readFile(at('ca.crt'), 'utf8');
  await writeFile(at('htpasswd'), `me:${crypted}\n`);
  tokens = await makeTokenServer();
  const realm = `http://${formatAddress(await listenOn(tokens, { host: '127.0.0.1', port: 0 }))}/token`;
  const tls = { certificate: at('ca.crt'), key: at('key') };
  [bench, plain, secure, guarded] = await Promise.all([
    ImportBench.make(),
    DebianRegistry.start(),
    DebianRegistry.start({ tls, auth: { htpasswd: { realm: 'tests', path: at('htpasswd') } } }),
    DebianRegistry.start({
      auth: { token: { realm, service: 'disks', issuer: 'tests', rootcertbundle: at('ca.crt') } },
    }),
    makeImages(),
  ]);
  await push('l-raw', 'raw:oci');
  await push('l-raw', 'raw:docker', '--format', 'v2s2');
  for (const name of ['qcow2', 'packed', 'two', 'link', 'over']) await push(`l-${name}`, `${name}:latest`);
  for (const name of ['raw', 'qcow2']) {
    const ways = {
      plain: ['--dest-decompress'],
      zstd: ['--dest-compress', '--dest-compress-format', 'zstd', '--format', 'oci'],
    };
    let from = `oci:${at(`l-${name}`)}:image`;
    // By way of a directory: a registry that has the layer in another packing is given no second one.
    for (const [tag, words] of Object.entries(ways)) {
      const packed = `dir:${at(`${tag}-${name}`)}`;
      await skopeo('copy', '-q', ...words, from, packed);
      const to = `docker://${plain.host}/${name}:${tag}`;
      await skopeo('copy', '-q', '--dest-tls-verify=false', '--preserve-digests', packed, to);
      from = packed;
    }
  }
  for (const [registry, more] of [
    [secure, [`--dest-cert-dir=${work}`]],
    [guarded, ['--dest-tls-verify=false']],
  ] as const) {
    const to = `docker://${registry.host}/raw:oci`;
    await skopeo('copy', '-q', '--dest-creds', 'me:mine', ...more, `oci:${at('l-raw')}:image`, to);
  }
}, 120_000);

afterAll(async () => {
  await Promise.all(
    [bench, plain, secure, guarded].map((one) => (one instanceof ImportBench ? one.close() : one.stop())),
  );
  await closeServer(tokens);
  await rm(work, { recursive: true });
});

function pull(url: string, more: Partial<RegistryLocation> = {}): Promise<Ending> {
  const source = { kind: 'registry' as const, url, certificates: [], insecureSkipVerify: true, ...more };
  return bench.import('', sizeBytes, { source });
}

describe('a container disk', () => {
  test.each([
    ['raw:oci', 'raw', 'stream'],
    ['raw:docker', 'raw', 'stream'],
    ['raw:plain', 'raw', 'stream'],
    ['raw:zstd', 'raw', 'stream'],
    ['qcow2', 'qcow2', 'staged'],
    ['qcow2:plain', 'qcow2', 'staged'],
    ['qcow2:zstd', 'qcow2', 'staged'],
    ['packed', 'raw.xz', 'stream'],
    ['over', 'qcow2', 'staged'],
  ])('%s becomes the disk', async (reference, format, strategy) => {
    const ended = await pull(plain.url(reference));
    expect(ended).toMatchObject({ code: 'complete', sha256: whole, report: { format, strategy } });
  });

  test('is packed as its test says', async () => {
    const raw = await skopeo('inspect', '--raw', '--tls-verify=false', plain.url('raw:zstd'));
    expect(JSON.parse(raw).layers[0].mediaType).toContain('zstd');
    const layers = JSON.parse(await skopeo('inspect', '--raw', '--tls-verify=false', plain.url('raw:plain'))).layers;
    expect(layers[0].mediaType).not.toMatch(/gzip|zstd/);
  });

  test('tells its labels and its version', async () => {
    expect((await pull(plain.url('raw:oci'))).report?.labels).toEqual({
      'instancetype.kubevirt.io/default-instancetype': 'u1.small',
    });
    const told = JSON.parse(await skopeo('inspect', '--tls-verify=false', plain.url('raw:oci')));
    const source = { kind: 'registry' as const, url: plain.url('raw:oci'), certificates: [], insecureSkipVerify: true };
    expect(await versionOfSource(source, bench.hooks())).toEqual({ digest: told.Digest });
  });

  test.each([
    ['two', 'NotAContainerDisk', /more than one file: disk\/[ab].img, disk\/[ab].img/],
    ['link', 'HostileImage', /symbolic link/],
    ['raw:none', 'SourceNotFound', /failed to pull image: .*404, MANIFEST_UNKNOWN/],
    ['nothing', 'SourceNotFound', /404, (NAME|MANIFEST)_UNKNOWN/],
    [`raw@sha256:${'0'.repeat(64)}`, 'SourceNotFound', /404/],
  ])('%s is refused', async (reference, code, detail) => {
    expect(await pull(plain.url(reference))).toMatchObject({ code, detail: expect.stringMatching(detail) });
    expect(await bench.stagings()).toEqual([]);
  });
});

describe('an index', () => {
  beforeAll(async () => {
    const words = ['copy', '-q', '--dest-tls-verify=false'];
    const entries = [];
    for (const [layout, architecture] of [
      ['l-raw', 'amd64'],
      ['l-arm', 'arm64'],
    ] as const) {
      await skopeo(...words, `oci:${at(layout)}:image`, `${plain.url('many')}:${architecture}`);
      const bytes = await skopeo('inspect', '--raw', '--tls-verify=false', `${plain.url('many')}:${architecture}`);
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      const { mediaType = 'application/vnd.oci.image.manifest.v1+json' } = JSON.parse(bytes);
      entries.push({ mediaType, digest, size: Buffer.byteLength(bytes), platform: { os: 'linux', architecture } });
    }
    const type = 'application/vnd.oci.image.index.v1+json';
    const body = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: entries });
    const headers = { 'content-type': type };
    const url = `http://${plain.host}/v2/many/manifests/all`;
    expect((await fetch(url, { method: 'PUT', headers, body })).status).toBe(201);
  });

  test.each(['amd64', 'arm64', undefined])('gives the image for %s', async (architecture) => {
    const ended = await pull(plain.url('many:all'), architecture === undefined ? {} : { architecture });
    expect(ended).toMatchObject({ code: 'complete', sha256: whole });
  });

  test('lists what there is where the architecture is missing', async () => {
    expect(await pull(plain.url('many:all'), { architecture: 'absent' })).toMatchObject({
      code: 'ArchitectureMissing',
      detail:
        'no image found in image index for architecture "absent", variant "", OS "linux"; there are: linux/amd64, linux/arm64',
    });
  });

  test('a single image of another architecture is refused, too', async () => {
    expect(await pull(plain.url('raw:oci'), { architecture: 'arm64' })).toMatchObject({
      code: 'ArchitectureMissing',
      detail: 'manifest image architecture: "amd64" doesn\'t match requested architecture: "arm64"',
    });
  });
});

describe('a registry with TLS and a password', () => {
  test('is read with its CA and the password', async () => {
    const trust = { certificates: [authority], insecureSkipVerify: false };
    expect(await pull(secure.url('raw:oci'), { ...trust, credentials })).toMatchObject({
      code: 'complete',
      sha256: whole,
    });
  });

  test('is read without its CA where it is an insecure one', async () => {
    expect(await pull(secure.url('raw:oci'), { credentials })).toMatchObject({ code: 'complete', sha256: whole });
  });

  test.each<[string, Partial<RegistryLocation>, string]>([
    ['without its CA', { insecureSkipVerify: false, credentials }, 'SourceUntrusted'],
    ['with another password', { credentials: { username: 'me', password: 'yours' } }, 'SourceUnauthorized'],
    ['without a password', {}, 'SourceUnauthorized'],
  ])('is not read %s', async (_what, more, code) => {
    expect((await pull(secure.url('raw:oci'), more)).code).toBe(code);
  });
});

describe('a registry with tokens', () => {
  test('is read with one that the token server gives', async () => {
    expect(await pull(guarded.url('raw:oci'), { credentials })).toMatchObject({ code: 'complete', sha256: whole });
  });

  test('is not read without the right', async () => {
    expect((await pull(guarded.url('raw:oci'))).code).toBe('SourceUnauthorized');
  });
});

describe('an archive', () => {
  let archives: ImportBench;

  beforeAll(async () => {
    await mkdir(at('archives'));
    await skopeo('copy', '-q', `oci:${at('l-qcow2')}:image`, `oci-archive:${at('archives/one.tar')}`);
    await skopeo('copy', '-q', `oci:${at('l-raw')}:image`, `oci-archive:${at('outside.tar')}`);
    await symlink(at('outside.tar'), at('archives/led.tar'));
    await writeFile(at('archives/text'), 'no archive');
    archives = await ImportBench.make({ config: { ociArchives: at('archives') } });
  });

  afterAll(() => archives.close());

  function read(path: string, by: ImportBench = archives): Promise<Ending> {
    const url = `oci-archive:${path}`;
    return by.import('', sizeBytes, { source: { kind: 'registry', url, certificates: [], insecureSkipVerify: false } });
  }

  test('below the directory of the setting is read', async () => {
    expect(await read('one.tar')).toMatchObject({
      code: 'complete',
      sha256: whole,
      report: { fetchedBytes: expect.any(Number) },
    });
    expect(await read(at('archives/one.tar'))).toMatchObject({ code: 'complete', sha256: whole });
  });

  test.each([
    ['that a link leads to elsewhere', () => 'led.tar', 'SourceForbidden'],
    ['elsewhere', () => at('outside.tar'), 'SourceForbidden'],
    ['above', () => '../outside.tar', 'SourceForbidden'],
    ['that is the directory', () => '.', 'SourceForbidden'],
    ['that is not there', () => 'none.tar', 'SourceNotFound'],
    ['that is none', () => 'text', 'CorruptImage'],
    ['without such an image', () => 'one.tar:other', 'NotAContainerDisk'],
  ])('%s is not', async (_what, path, code) => {
    expect((await read(path())).code).toBe(code);
  });

  test('is not read where the operator named no directory', async () => {
    expect((await read(at('archives/one.tar'), bench)).code).toBe('UnsupportedSource');
  });
});
