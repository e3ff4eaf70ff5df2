// Certificates that go through a real store: one keeps them, another gets its part and follows it.
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { resources } from '../domain/resources.ts';
import { loadTlsPair } from '../runtime/certificates.ts';
import { type Config, loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { keepClusterPki } from './cluster-pki.ts';
import { clusterResources } from './cluster-resources.ts';
import { followPki, savePki } from './pki-secrets.ts';

const namespace = 'longshore';
const logger = createLogger(loadConfig({ LONGSHORE_LOG_LEVEL: 'silent' }), 'test');
let directory: string;
let store: SqliteStore;
let ending: AbortController;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-pki-'));
  store = await SqliteStore.open(directory);
  ending = new AbortController();
});
afterEach(async () => {
  ending.abort();
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const place = (name: string) => ({ store, namespace, directory: join(directory, name) });
const config = (more: Record<string, string> = {}): Config => loadConfig({ LONGSHORE_API_HOSTS: 'api.svc', ...more });
const secret = (name: string) => store.get(resources.secrets, { namespace, name });

async function keep(name: string, settings = config()): Promise<void> {
  const pki = await keepClusterPki(place(name), settings, logger);
  await pki.stop();
}

test('each process gets what it needs and no key of another', async () => {
  await keep('controller');
  const ofProxy = Object.keys((await secret('longshore-uploadproxy-pki'))?.data ?? {}).sort();
  expect(ofProxy).toEqual([
    ...['ca.crt', 'upload-token.pub', 'uploadproxy-client.crt', 'uploadproxy-client.key'],
    ...['uploadproxy.crt', 'uploadproxy.key'],
  ]);
  expect(Object.keys((await secret('longshore-api-pki'))?.data ?? {})).not.toContain('ca.key');
  await followPki(place('api'), 'longshore-api-pki', { signal: ending.signal, logger });
  const { directory: there } = place('api');
  await expect(loadTlsPair(there, 'api')).resolves.toMatchObject({ ca: expect.stringContaining('BEGIN') });
  expect((await stat(join(there, 'api.key'))).mode & 0o777).toBe(0o600);
});

test('a controller that begins anew takes what is kept, and writes nothing that is the same', async () => {
  await keep('first');
  const before = await secret('longshore-pki');
  await keep('second');
  expect(await secret('longshore-pki')).toEqual(before);
  expect(await readFile(join(directory, 'second', 'ca.key'))).toEqual(
    await readFile(join(directory, 'first', 'ca.key')),
  );
});

test('a renewed certificate comes to who follows it', async () => {
  await keep('controller');
  await followPki(place('api'), 'longshore-api-pki', { signal: ending.signal, logger });
  const before = await loadTlsPair(place('api').directory, 'api');
  await keep('controller', config({ LONGSHORE_API_HOSTS: 'api.svc,other.svc' }));
  await vi.waitFor(async () => {
    expect((await loadTlsPair(place('api').directory, 'api')).cert).not.toBe(before.cert);
  });
});

test('what somebody deletes is made again, as it was', async () => {
  const pki = await keepClusterPki(place('controller'), config(), logger);
  const before = await secret('longshore-api-pki');
  for (const name of ['longshore-pki', 'longshore-api-pki']) await store.delete(resources.secrets, { namespace, name });
  await store.delete(resources.configMaps, { namespace, name: 'longshore-ca' });
  await vi.waitFor(async () => {
    expect((await secret('longshore-api-pki'))?.data).toEqual(before?.data);
    expect(Object.keys((await secret('longshore-pki'))?.data ?? {})).toContain('ca.key');
    expect(await store.get(resources.configMaps, { namespace, name: 'longshore-ca' })).toBeDefined();
  });
  await pki.stop();
});

test('a process uses a renewed certificate at once', async () => {
  await keep('controller');
  const { onWritten } = await followPki(place('api'), 'longshore-api-pki', { signal: ending.signal, logger });
  const tls = await loadRenewedTls({
    ...{ directory: place('api').directory, name: 'api', everySeconds: 3_600, onWritten, logger },
  });
  const before = tls.cert;
  await keep('controller', config({ LONGSHORE_API_HOSTS: 'api.svc,other.svc' }));
  await vi.waitFor(() => expect(tls.cert).not.toBe(before));
});

test('who waits for certificates that nobody has made ends when it is told to', async () => {
  const waiting = followPki(place('api'), 'longshore-api-pki', { signal: ending.signal, logger });
  ending.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'Cancelled' });
  expect(await readdir(place('api').directory)).toEqual([]);
});

test('a part that lacks a file is not kept', async () => {
  await keep('controller');
  await rm(join(place('controller').directory, 'upload-token.pub'));
  await expect(savePki(place('controller'))).rejects.toThrow('upload-token.pub');
});

describe('kube-apiserver', () => {
  const { validatingWebhooks, apiServices } = clusterResources;
  const name = 'cdi-api-datavolume-validate';
  const webhook = { name: 'datavolume-validate.cdi.kubevirt.io', clientConfig: { service: { name: 'cdi-api' } } };
  const configuration = {
    ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingWebhookConfiguration' },
    ...{ metadata: { name }, webhooks: [webhook] },
  };
  const ownCa = () => readFile(join(place('controller').directory, 'ca.crt'), 'utf8');
  const toldCa = async () => {
    const told = await store.get(validatingWebhooks, { name });
    return Buffer.from(told?.webhooks?.[0]?.clientConfig.caBundle ?? '', 'base64').toString('utf8');
  };

  test('is told the CA where it calls us', async () => {
    await store.create(validatingWebhooks, configuration);
    await keep('controller');
    expect(await toldCa()).toBe(await ownCa());
    const told = await store.get(validatingWebhooks, { name });
    expect(told?.webhooks?.[0]?.clientConfig['service']).toEqual({ name: 'cdi-api' });
  });

  test('is told it again where it was taken out, and where it knows us later', async () => {
    await store.create(validatingWebhooks, configuration);
    const pki = await keepClusterPki(place('controller'), config(), logger);
    const { metadata } = (await store.get(validatingWebhooks, { name })) ?? configuration;
    await store.update(validatingWebhooks, { ...configuration, metadata });
    await vi.waitFor(async () => expect(await toldCa()).toBe(await ownCa()));
    const service = { name: 'v1beta1.upload.cdi.kubevirt.io' };
    const spec = { service: { name: 'cdi-api' } };
    const kind = { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService' };
    await store.create(apiServices, { ...kind, metadata: service, spec });
    await vi.waitFor(async () => {
      const { caBundle = '' } = (await store.get(apiServices, service))?.spec ?? {};
      expect(Buffer.from(caBundle, 'base64').toString('utf8')).toBe(await ownCa());
    });
    await pki.stop();
  });
});
