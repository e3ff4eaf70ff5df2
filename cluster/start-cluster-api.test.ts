// By what the front proxy is known, while the API runs, and what becomes of errors of our own; what it answers behind a real kube-apiserver is tried in test/cluster.
import { createServer } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { Fault } from '../domain/fault.ts';
import type { ConfigMap } from '../domain/kube-shapes.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { CertificateAuthority } from '../runtime/certificates.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { KubeClient } from './kube-client.ts';
import { startClusterApi } from './start-cluster-api.ts';

interface Surroundings {
  undo: AsyncDisposableStack;
  /** What kube-apiserver answers when it is asked who may. */
  allowed?: boolean;
  logger?: Logger;
  /** In the place of the store. */
  readerOf?: (store: SqliteStore) => Pick<ObjectStore, 'get' | 'list'>;
}

/** The API over a real store, behind a front proxy that the store names `former`. */
async function startApi({ undo, allowed = false, logger, readerOf = (store) => store }: Surroundings) {
  const directory = await temporaryDirectory(undo, 'cluster-api');
  const store = await SqliteStore.open(directory);
  undo.defer(() => store.close());
  const authority = await CertificateAuthority.openOrCreate(join(directory, 'pki'));
  const known = (name: string): ConfigMap => ({
    ...{ apiVersion: 'v1', kind: 'ConfigMap' },
    metadata: { namespace: 'kube-system', name: 'extension-apiserver-authentication' },
    data: {
      'requestheader-client-ca-file': authority.certificate,
      'requestheader-allowed-names': JSON.stringify([name]),
    },
  });
  await store.create(resources.configMaps, known('former'));

  const kube = createServer((_request, response) => {
    const answer = { kind: 'SubjectAccessReview', status: { allowed, reason: 'not ada' } };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  const { port } = await listenOn(kube, { host: '127.0.0.1', port: 0 });
  undo.defer(() => closeServer(kube));
  const token = async () => undefined;
  const client = new KubeClient({ server: `http://127.0.0.1:${port}`, ca: undefined, client: undefined, token });
  undo.defer(() => client.close());

  const tls = await authority.issue({ name: 'api', cn: 'api', hosts: ['127.0.0.1'], usages: ['server'] });
  const api = await startClusterApi({
    ...{ address: { host: '127.0.0.1', port: 0 }, tls, reader: readerOf(store), client, tokenLifetimeSeconds: 300 },
    ...{ tokens: await UploadTokens.open(join(directory, 'pki'), { lifetimeSeconds: 300 }), everySeconds: 0.02 },
    ...{ provisioning: { by: 'csi', driver: 'x' }, logger: logger ?? createLogger({ logLevel: 'silent' }, 'test') },
  });
  undo.defer(() => api.close());

  /** @param name of the certificate that is shown */
  const post = async (path: string, body: string, name: string): Promise<string> => {
    const { key, cert } = await authority.issue({ name, cn: name, hosts: [], usages: ['client'] });
    const headers = { 'x-remote-user': 'ada', 'content-type': 'application/json' };
    const asked = request(`https://${api.address}${path}`, {
      ...{ method: 'POST', key, cert, ca: authority.certificate, headers, agent: false },
    });
    const answer = Promise.withResolvers<string>();
    asked.on('response', (response) => text(response).then(answer.resolve, answer.reject));
    asked.on('error', answer.reject);
    asked.end(body);
    return answer.promise;
  };
  return { store, known, post };
}

const tokenPath = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/ns/uploadtokenrequests';

test('a front proxy that the cluster gives another name is believed by that name, and no longer by the former', async () => {
  await using undo = new AsyncDisposableStack();
  const { store, known, post } = await startApi({ undo });
  const answerTo = (name: string) => post(tokenPath, '{}', name);
  expect(await answerTo('former')).toBe('not ada');
  expect(await answerTo('latter')).toBe('request is not authenticated');
  await store.update(resources.configMaps, known('latter'));
  await expect.poll(() => answerTo('latter')).toBe('not ada');
  expect(await answerTo('former')).toBe('request is not authenticated');
});

test('what is our own failure is told as such and logged, what is the client’s is not', async () => {
  await using undo = new AsyncDisposableStack();
  const lines: string[] = [];
  const logger = createLogger({ logLevel: 'info' }, 'test', { write: (line) => lines.push(line) });
  let failure: Error = new TypeError('not a function');
  const readerOf = (store: SqliteStore): Pick<ObjectStore, 'get' | 'list'> => ({
    get: (resource, key) => {
      if (resource.plural === 'configmaps') return store.get(resource, key);
      throw failure;
    },
    list: (resource, options) => store.list(resource, options),
  });
  const { post } = await startApi({ undo, allowed: true, logger, readerOf });
  const token = (body: string) => post(tokenPath, body, 'former');
  const review = () => {
    const spec = { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } };
    const object = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name: 'a' }, spec };
    const asked = { uid: 'u1', operation: 'CREATE', namespace: 'ns', userInfo: {}, object };
    const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: asked };
    return post('/datavolume-validate', JSON.stringify(body), 'former');
  };

  expect(JSON.parse(await token('{'))).toMatchObject({ code: 400 });
  expect(JSON.parse(await token('{"spec":{}}'))).toMatchObject({ code: 400 });
  expect(lines).toEqual([]);
  expect(JSON.parse(await token('{"spec":{"pvcName":"disk"}}'))).toMatchObject({ code: 500 });
  expect(JSON.parse(await review())).toMatchObject({ response: { allowed: false, status: { code: 400 } } });
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).toContain('not a function');
  failure = new Fault('Forbidden', 'longshore-api may not');
  expect(JSON.parse(await review())).toMatchObject({ response: { allowed: false, status: { code: 400 } } });
  expect(lines).toHaveLength(2);
});
