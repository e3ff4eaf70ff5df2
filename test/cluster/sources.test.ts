// Images from a web server, from a real S3 server that checks signatures and from a real registry, with the credentials, the CA and the exception for a registry
// that users put into the cluster; each disk read by a pod. And the networks that a worker may read from, as the chart's values say.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWebServer, type WebServer } from '../../scripts/demo-web-server.ts';
import { DebianRegistry, makeLayout, skopeo } from '../registry/debian-registry.ts';
import { SwiftServer, swiftKeys, swiftRegion } from '../sources/swift-server.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { chartDirectory } from './chart.ts';
import { conditionOf, leaveNothing, untilCondition } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const mebibyte = 1_048_576;
const namespace = 'sources';
const disk = Buffer.concat([randomBytes(5 * mebibyte), Buffer.alloc(8 * mebibyte), randomBytes(3 * mebibyte)]);
const expected = createHash('sha256').update(disk).digest('hex');
/** `me:mine`, as the registry keeps it and as a secret tells it. */
const registryUser = { username: 'me', password: 'mine' };

const undo = new AsyncDisposableStack();
let service: InstalledService;
let host: string;
let web: WebServer;
let swift: SwiftServer;
let openRegistry: DebianRegistry;
let guardedRegistry: DebianRegistry;
let authority: string;

beforeAll(async () => {
  const cluster = await testCluster();
  host = cluster.hostAddress();
  const directory = await temporaryDirectory(undo, 'sources');
  await makeImages(directory);
  web = await startWebServer(directory, 2 ** 30, host);
  undo.defer(() => web.close());
  swift = undo.use(await SwiftServer.start(host));
  await swift.put('disks/disk.qcow2', await readFile(join(directory, 'disk.qcow2')));
  await startRegistries(directory);
  service = await InstalledService.install(cluster);
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});

afterAll(async () => {
  await undo.disposeAsync();
  if (service !== undefined) await leaveNothing(service, namespace);
});

/** disk.raw.gz, disk.qcow2 and an image layout with the second. */
async function makeImages(directory: string): Promise<void> {
  const raw = join(directory, 'disk.raw');
  await writeFile(raw, disk);
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, join(directory, 'disk.qcow2')]);
  const files = join(directory, 'files');
  await mkdir(files);
  await run('cp', [join(directory, 'disk.qcow2'), files]);
  await makeLayout(join(directory, 'layout'), files);
  await run('gzip', ['-1', raw]);
}

/** One that anybody reads, without TLS, and one with a certificate of its own CA and a password. */
async function startRegistries(directory: string): Promise<void> {
  const names = ['-subj', '/CN=registry', '-addext', `subjectAltName=IP:${host}`];
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'key', '-out', 'ca.crt', '-days', '2'];
  await run('openssl', ['req', '-x509', ...made, ...names], { cwd: directory });
  authority = await readFile(join(directory, 'ca.crt'), 'utf8');
  const { stdout } = await run('perl', ['-e', 'print crypt("mine", q{$2b$05$abcdefghijklmnopqrstuu})']);
  const passwords = join(directory, 'htpasswd');
  await writeFile(passwords, `me:${stdout}\n`);
  openRegistry = await DebianRegistry.start({ address: host });
  undo.defer(() => openRegistry.stop());
  const tls = { certificate: join(directory, 'ca.crt'), key: join(directory, 'key') };
  const auth = { htpasswd: { realm: 'tests', path: passwords } };
  guardedRegistry = await DebianRegistry.start({ address: host, tls, auth });
  undo.defer(() => guardedRegistry.stop());
  const from = `oci:${join(directory, 'layout')}:image`;
  await skopeo('copy', '-q', '--dest-tls-verify=false', from, openRegistry.url('disks/linux:1'));
  const rights = ['--dest-creds', 'me:mine', `--dest-cert-dir=${directory}`];
  await skopeo('copy', '-q', ...rights, from, guardedRegistry.url('disks/linux:1'));
}

const secretOf = (name: string, stringData: Record<string, string>) => ({
  ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, stringData },
});

function create(name: string, source: object): Promise<void> {
  return service.create(dataVolumeOf({ namespace, name, source, size: String(disk.length) }));
}

async function holdsTheDisk(name: string): Promise<void> {
  await service.untilPhase(namespace, name, 'Succeeded');
  expect(await service.readDigest(namespace, name)).toBe(expected);
}

/** Waits until that is told to have ended by the fault. */
async function fails(name: string, code: string): Promise<void> {
  const told = await until(`${name} fails`, 90_000, async () => {
    const running = await conditionOf(service, { namespace, name }, 'Running');
    return ['ImagePullFailed', 'Error'].includes(running?.reason ?? '') ? running : undefined;
  });
  expect(told.message).toMatch(new RegExp(`^${code}: `));
}

test('a web server', async () => {
  await create('http', { http: { url: web.urlOf('disk.raw.gz') } });
  await holdsTheDisk('http');
});

test('S3, with the keys of a secret', async () => {
  const { accessKeyId, secretAccessKey: secretKey } = swiftKeys;
  await service.create(secretOf('s3-keys', { accessKeyId, secretKey, region: swiftRegion }));
  await create('s3', { s3: { url: swift.url('disks/disk.qcow2'), secretRef: 's3-keys' } });
  await holdsTheDisk('s3');
});

test('S3, with keys that come later', async () => {
  await create('s3-later', { s3: { url: swift.url('disks/disk.qcow2'), secretRef: 's3-later' } });
  await untilCondition(service, { namespace, name: 's3-later' }, 'Running', 'SecretMissing');
  const { accessKeyId, secretAccessKey: secretKey } = swiftKeys;
  await service.create(secretOf('s3-later', { accessKeyId, secretKey, region: swiftRegion }));
  await holdsTheDisk('s3-later');
});

test('a registry with a CA of its own in a config map, and a password', async () => {
  const { username: accessKeyId, password: secretKey } = registryUser;
  await service.create(secretOf('registry-user', { accessKeyId, secretKey }), {
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'registry-ca' } },
    data: { 'ca.pem': authority },
  });
  const url = guardedRegistry.url('disks/linux:1');
  await create('registry', { registry: { url, secretRef: 'registry-user', certConfigMap: 'registry-ca' } });
  await holdsTheDisk('registry');
});

test('a registry without TLS, once CDIConfig says so', async () => {
  const source = { registry: { url: openRegistry.url('disks/linux:1') } };
  await create('too-early', source);
  await fails('too-early', 'SourceUntrusted');
  const spec = { insecureRegistries: [openRegistry.host] };
  const patch = ['patch', 'cdiconfig', 'config', '--type', 'merge', '--patch', JSON.stringify({ spec })];
  await service.cluster.kubectl.out(patch);
  await create('insecure', source);
  await holdsTheDisk('insecure');
});

test('networks that the values refuse, but for what they allow', async () => {
  const upgrade = (sourceNetworks: object) =>
    service.helm(
      ...['upgrade', 'longshore', chartDirectory, ...service.values()],
      ...['--set-json', `worker.sourceNetworks=${JSON.stringify(sourceNetworks)}`],
    );
  const source = { http: { url: web.urlOf('disk.raw.gz') } };
  await upgrade({ refuse: ['198.18.0.0/15', `${host}/32`] });
  await create('refused', source);
  await fails('refused', 'SourceAddressRefused');
  await upgrade({ refuse: ['198.18.0.0/15', `${host}/32`], allow: [host] });
  await create('allowed', source);
  await holdsTheDisk('allowed');
});
