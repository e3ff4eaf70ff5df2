// What a worker is given for an attempt, from real secrets and config maps in a real store; and that no fault tells a secret.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SqliteStore } from '../../api/store/sqlite-store.ts';
import { annotations } from '../../domain/annotations.ts';
import type { CdiConfig } from '../../domain/custom-resources/cdi-config.ts';
import type { Fault } from '../../domain/fault.ts';
import { resources } from '../../domain/resources.ts';
import { claimOf, httpOf, volumeId } from '../../test/claim-examples.ts';
import { firstAttempt } from '../claims/attempt-state.ts';
import type { ClaimContent } from '../claims/claim-content.ts';
import { attemptInputs, checksumOf, type InputsContext } from './attempt-inputs.ts';
import type { HttpContent } from './source-content.ts';
import { missingOf, namesOf } from './source-inputs.ts';

const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';

let directory: string;
let store: SqliteStore;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-inputs-'));
  store = await SqliteStore.open(directory);
  const secret = (name: string, data: Record<string, string>) =>
    store.create(resources.secrets, {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'ns', name } },
      data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, btoa(value)])),
    });
  await secret('login', { accessKeyId: 'me', secretKey: 'hush' });
  await secret('half', { accessKeyId: 'me' });
  await secret('headers', { first: 'X-Token: s3cret', second: 'X-More:a:b' });
  await secret('broken', { line: 'hush-no-colon' });
  await store.create(resources.configMaps, {
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'ns', name: 'cas' } },
    data: { 'ca.pem': pem, note: 'not a certificate' },
    binaryData: { 'more.pem': btoa(pem) },
  });
});
afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

function http(more: Partial<HttpContent> = {}): ClaimContent {
  return { kind: 'image', source: httpOf('https://host/disk', more) };
}

function inputs(more: Partial<InputsContext> = {}) {
  return attemptInputs({
    ...{ reader: store, claim: claimOf(), content: http(), state: firstAttempt('import'), sizeBytes: 1_048_576 },
    ...{ cdiConfig: undefined, serviceNamespace: 'longshore', cloneSource: undefined },
    ...more,
  });
}

function behind(importProxy: CdiConfig['spec']['importProxy']): CdiConfig {
  const named = { apiVersion: 'cdi.kubevirt.io/v1beta1' as const, kind: 'CDIConfig' as const };
  return { ...named, metadata: { name: 'config' }, spec: importProxy === undefined ? {} : { importProxy } };
}

async function refusal(more: Partial<InputsContext>): Promise<Pick<Fault, 'code' | 'detail'>> {
  const fault: Fault = await inputs(more).then(
    () => expect.unreachable(),
    (error: Fault) => error,
  );
  return { code: fault.code, detail: fault.detail };
}

describe('inputs', () => {
  test('of a plain import hold the URL, the size and nothing else', async () => {
    const source = { kind: 'http', url: 'https://host/disk', headers: [], certificates: [], insecureSkipVerify: false };
    expect(await inputs()).toEqual({ operation: 'import', source, sizeBytes: 1_048_576, preallocation: false });
  });

  test('ask for one pass where parts of the source were not proved to be of the same content, and only there', async () => {
    const later = { ...firstAttempt('import'), attempt: 2 };
    expect(await inputs({ state: { ...later, onePass: true } })).toMatchObject({ source: { onePass: true } });
    expect(await inputs({ state: later })).not.toHaveProperty('source.onePass');
  });

  test('hold credentials, headers of both kinds in order, and the certificates among what a config map has', async () => {
    const content = http({
      ...{ secretRef: 'login', certConfigMap: 'cas', insecureSkipVerify: true },
      ...{ extraHeaders: ['Accept : image/*'], secretExtraHeaders: ['headers'] },
    });
    expect(await inputs({ content })).toMatchObject({
      source: {
        credentials: { username: 'me', password: 'hush' },
        headers: [
          ['Accept', 'image/*'],
          ['X-Token', 's3cret'],
          ['X-More', 'a:b'],
        ],
        certificates: [pem, pem],
        insecureSkipVerify: true,
      },
    });
  });

  test('hold checksum and preallocation as the claim wishes', async () => {
    const claim = claimOf({
      [annotations.importChecksum]: ' MD5:ABC ',
      [annotations.preallocationRequested]: 'true',
    });
    expect(await inputs({ claim })).toMatchObject({ checksum: 'md5:abc', preallocation: true });
    expect(checksumOf(claimOf({ [annotations.checksum]: 'sha1:d' }))).toBe('sha1:d');
    expect(checksumOf(claimOf({ [annotations.importChecksum]: '' }))).toBeUndefined();
  });

  test('hold the proxy that is in force, which the status of CDIConfig tells before its spec', async () => {
    const cdiConfig: CdiConfig = {
      ...behind({ HTTPProxy: 'http://old' }),
      status: { importProxy: { HTTPProxy: 'http://proxy', HTTPSProxy: '', noProxy: '.local' } },
    };
    expect(await inputs({ cdiConfig })).toMatchObject({ source: { proxy: { http: 'http://proxy', no: '.local' } } });
    const { status: _, ...unset } = cdiConfig;
    expect(await inputs({ cdiConfig: unset })).toMatchObject({ source: { proxy: { http: 'http://old' } } });
  });

  test('trust the CAs of the proxy beside those of the source, and leave a proxy that is not named to the worker', async () => {
    const cdiConfig = behind({ noProxy: '.local', trustedCAProxy: 'cas' });
    const source = await inputs({ cdiConfig, serviceNamespace: 'ns', content: http({ certConfigMap: 'cas' }) });
    expect(source).toMatchObject({ source: { certificates: [pem, pem, pem, pem] } });
    expect(source).not.toHaveProperty('source.proxy');
    expect(await refusal({ cdiConfig })).toMatchObject({ code: 'SecretMissing', detail: 'config map longshore/cas' });
  });

  test('of a blank, a clone and a conversion', async () => {
    expect(await inputs({ content: { kind: 'blank' } })).toMatchObject({ source: { kind: 'blank' } });
    const clone = { kind: 'clone' as const, source: { namespace: 'ns', name: 'origin' } };
    const cloned = await inputs({ content: clone, cloneSource: volumeId });
    expect(cloned).toEqual({
      operation: 'clone',
      sourceVolumeId: volumeId,
      sizeBytes: 1_048_576,
      preallocation: false,
    });
    const state = { ...firstAttempt('upload'), stage: 'received' as const };
    expect(await inputs({ content: { kind: 'upload' }, state })).toMatchObject({ operation: 'convert' });
  });

  test.each<[string, Partial<InputsContext>, string, string]>([
    ['a secret that is missing', { content: http({ secretRef: 'none' }) }, 'SecretMissing', 'secret ns/none'],
    ['a secret without its key', { content: http({ secretRef: 'half' }) }, 'SecretMissing', 'secret ns/half has no'],
    ['missing certificates', { content: http({ certConfigMap: 'none' }) }, 'SecretMissing', 'config map ns/none'],
    [
      'a header that is none',
      { content: http({ secretExtraHeaders: ['broken'] }) },
      'InvalidRequest',
      'an extra header',
    ],
    [
      'a clone without its source',
      { content: { kind: 'clone', source: { namespace: 'ns', name: 'gone' } } },
      'SourceNotReady',
      'gone',
    ],
    [
      'an upload that waits',
      { content: { kind: 'upload' }, state: firstAttempt('upload') },
      'StaleAttempt',
      'takes no inputs',
    ],
  ])('are refused for %s, without telling a secret', async (_why, more, code, detail) => {
    const told = await refusal(more);
    expect(told).toEqual({ code, detail: expect.stringContaining(detail) });
    expect(told.detail).not.toContain('hush');
  });
});

test('what is missing is told by the first name that is not there', async () => {
  const url = 'https://host/disk';
  const content = httpOf(url, { secretRef: 'login', secretExtraHeaders: ['headers', 'later'], certConfigMap: 'cas' });
  expect(namesOf(content)).toEqual({ secrets: ['login', 'headers', 'later'], configMaps: ['cas'] });
  const at = (namespace: string, cdiConfig?: CdiConfig) => ({
    ...{ reader: store, namespace, cdiConfig, serviceNamespace: 'longshore' },
  });
  const there = httpOf(url, { secretRef: 'login', certConfigMap: 'cas' });
  expect((await missingOf(content, at('ns')))?.detail).toBe('secret ns/later');
  expect(await missingOf(there, at('ns'))).toBeUndefined();
  expect((await missingOf(httpOf(url, { certConfigMap: 'cas' }), at('other')))?.detail).toBe('config map other/cas');
  const cdiConfig = behind({ trustedCAProxy: 'proxy-cas' });
  expect((await missingOf(there, at('ns', cdiConfig)))?.detail).toBe('config map longshore/proxy-cas');
});
