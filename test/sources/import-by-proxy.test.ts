// Where there is a proxy, every request goes through it: of imports, of looks by schedules and of probes, to sources of every kind and to the services that
// give the right to read. The proxy is that of CDIConfig, or else that of the machine's environment.
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SourceLocation } from '../../importer/open-source.ts';
import { probeSource } from '../../importer/probe-source.ts';
import { versionOfSource } from '../../importer/version-of-source.ts';
import { type Config, loadConfig } from '../../runtime/config.ts';
import { HostileServer } from '../hostile/hostile-server.ts';
import { ImportBench } from '../hostile/import-bench.ts';
import { packed, TestRegistry } from '../registry/test-registry.ts';
import { tarArchive } from '../tar-archive.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { GcsTestServer } from './gcs-test-server.ts';
import { LeadingProxy } from './leading-proxy.ts';
import { RoleService } from './role-service.ts';

const disk = randomBytes(1_048_576);
const sha256 = createHash('sha256').update(disk).digest('hex');
const trust = { certificates: [], insecureSkipVerify: false };
const roleArn = 'arn:aws:iam::1:role/reader';
const undo = new AsyncDisposableStack();
let proxy: LeadingProxy;
let registry: TestRegistry;
let gcs: GcsTestServer;
let settings: Partial<Config>;

interface Row {
  source: SourceLocation;
  /** All that the import asks. */
  hosts: string[];
}

let rows: Record<'http' | 'registry' | 's3' | 'gcs', Row>;

beforeAll(async () => {
  const web = await HostileServer.start();
  undo.defer(() => web.stop());
  web.set('raw', disk);
  registry = await TestRegistry.start();
  undo.defer(() => registry.stop());
  const registryPort = Number(registry.host.split(':')[1]);
  registry.host = 'registry.example.test';
  registry.tokenOrigin = 'http://tokens.example.test';
  registry.image('disk', { layers: [packed(tarArchive([{ name: 'disk/disk.img', body: disk }]))] });
  gcs = undo.use(await GcsTestServer.start());
  gcs.tokenUrls.add('http://oauth.example.test/token');
  gcs.put('images/raw', disk);
  const roles = undo.use(await RoleService.start({ accessKeyId: 'key', secretAccessKey: 'hush' }));
  const webPort = Number(new URL(web.origin).port);
  const ports: Record<string, number> = {
    ...{ 'images.example.test': webPort, 'images.s3.example.test': webPort, 'sts.example.test': roles.port },
    ...{ 'registry.example.test': registryPort, 'tokens.example.test': registryPort },
    ...{ 'gcs.example.test': gcs.port, 'oauth.example.test': gcs.port },
  };
  proxy = undo.use(await LeadingProxy.start((host) => ports[host] ?? 1, 'me:mine'));
  const token = join(await temporaryDirectory(undo, 'role'), 'token');
  await writeFile(token, 'the token of the pod');
  settings = {
    ...{ gcsEndpoint: 'http://gcs.example.test', s3Endpoint: 'http://s3.example.test', s3RoleArn: roleArn },
    ...{ s3TokenFile: token, s3StsEndpoint: 'http://sts.example.test', firstByteTimeoutMs: 20_000 },
  };
  const serviceAccount = gcs.keyFile({ token_uri: 'http://oauth.example.test/token' });
  rows = {
    http: {
      source: { kind: 'http', url: 'http://images.example.test/ranges/raw', headers: [], ...trust },
      hosts: ['images.example.test'],
    },
    registry: {
      source: { kind: 'registry', url: registry.url(':disk'), ...trust, insecureSkipVerify: true },
      hosts: ['registry.example.test', 'registry.example.test:443', 'tokens.example.test'],
    },
    s3: {
      source: { kind: 's3', url: 's3://images/ranges/raw', ...trust },
      hosts: ['images.s3.example.test', 'sts.example.test'],
    },
    gcs: {
      source: { kind: 'gcs', url: 'gs://images/raw', serviceAccount, ...trust },
      hosts: ['gcs.example.test', 'oauth.example.test'],
    },
  };
});

afterEach(() => proxy.hosts.clear());

afterAll(() => undo.disposeAsync());

async function inBench(config: Partial<Config>, use: (bench: ImportBench) => Promise<void>): Promise<void> {
  const bench = await ImportBench.make({ config: { ...settings, ...config } });
  try {
    await use(bench);
    expect(await bench.stagings()).toEqual([]);
  } finally {
    await bench.close();
  }
}

/** What HTTP_PROXY and its like make of the settings. */
function environment(variables: Record<string, string>): Partial<Config> {
  const { httpProxy, httpsProxy, noProxy } = loadConfig(variables);
  return { httpProxy, httpsProxy, noProxy };
}

describe.each(['http', 'registry', 's3', 'gcs'] as const)('%s', (kind) => {
  test('by the proxy of CDIConfig', async () => {
    const { source, hosts } = rows[kind];
    registry.tokens = { good: new Set(), usesOfEach: 100 };
    const both = { http: proxy.url, https: proxy.url };
    await inBench({}, async (bench) => {
      const ending = await bench.import('', disk.byteLength, { source: { ...source, proxy: both } });
      expect(ending).toMatchObject({ code: 'complete', sha256 });
      expect([...proxy.hosts].toSorted()).toEqual(hosts);
    });
  });

  test.each(['HTTP_PROXY', 'http_proxy'])('by that of the environment: %s', async (name) => {
    const { source, hosts } = rows[kind];
    registry.tokens = { good: new Set(), usesOfEach: 100 };
    const variables = {
      [name]: proxy.url,
      [name.replace(/http/i, (found) => `${found}${found === 'HTTP' ? 'S' : 's'}`)]: proxy.url,
    };
    await inBench(environment(variables), async (bench) => {
      const ending = await bench.import('', disk.byteLength, { source });
      expect(ending).toMatchObject({ code: 'complete', sha256 });
      expect([...proxy.hosts].toSorted()).toEqual(hosts);
      proxy.hosts.clear();
      await versionOfSource(source, bench.hooks());
      expect([...proxy.hosts].toSorted()).toEqual(hosts);
      proxy.hosts.clear();
      expect(await probeSource(source, bench.hooks())).toMatchObject({ format: 'raw' });
      expect([...proxy.hosts].toSorted()).toEqual(hosts);
    });
  });

  test('without it where NO_PROXY names the domain', async () => {
    const { source } = rows[kind];
    const variables = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, no_proxy: 'other.test, .example.test' };
    await inBench(environment(variables), async (bench) => {
      const ending = await bench.import('', disk.byteLength, { source });
      expect(ending).toMatchObject({ code: 'SourceNameUnknown', left: [] });
      expect([...proxy.hosts]).toEqual([]);
    });
  });
});
