// By what the front proxy is known, while the API runs; what it answers behind a real kube-apiserver is tried in test/cluster.
import { createServer } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import type { ConfigMap } from '../domain/kube-shapes.ts';
import { resources } from '../domain/resources.ts';
import { CertificateAuthority } from '../runtime/certificates.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { createLogger } from '../runtime/logger.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { KubeClient } from './kube-client.ts';
import { startClusterApi } from './start-cluster-api.ts';

test('a front proxy that the cluster gives another name is believed by that name, and no longer by the former', async () => {
  await using undo = new AsyncDisposableStack();
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

  // kube-apiserver, which allows nobody anything.
  const kube = createServer((_request, response) => {
    const refusal = { kind: 'SubjectAccessReview', status: { allowed: false, reason: 'not ada' } };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(refusal));
  });
  const { port } = await listenOn(kube, { host: '127.0.0.1', port: 0 });
  undo.defer(() => closeServer(kube));
  const token = async () => undefined;
  const client = new KubeClient({ server: `http://127.0.0.1:${port}`, ca: undefined, client: undefined, token });
  undo.defer(() => client.close());

  const tls = await authority.issue({ name: 'api', cn: 'api', hosts: ['127.0.0.1'], usages: ['server'] });
  const api = await startClusterApi({
    ...{ address: { host: '127.0.0.1', port: 0 }, tls, reader: store, client, tokenLifetimeSeconds: 300 },
    ...{ tokens: await UploadTokens.open(join(directory, 'pki'), { lifetimeSeconds: 300 }), everySeconds: 0.02 },
    ...{ provisioning: { by: 'csi', driver: 'x' }, logger: createLogger({ logLevel: 'silent' }, 'test') },
  });
  undo.defer(() => api.close());

  const answerTo = async (name: string): Promise<string> => {
    const { key, cert } = await authority.issue({ name, cn: name, hosts: [], usages: ['client'] });
    const path = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/ns/uploadtokenrequests';
    const asked = request(`https://${api.address}${path}`, {
      ...{ method: 'POST', key, cert, ca: authority.certificate, headers: { 'x-remote-user': 'ada' }, agent: false },
    });
    const answer = Promise.withResolvers<string>();
    asked.on('response', (response) => text(response).then(answer.resolve, answer.reject));
    asked.on('error', answer.reject);
    asked.end('{}');
    return answer.promise;
  };
  expect(await answerTo('former')).toBe('not ada');
  expect(await answerTo('latter')).toBe('request is not authenticated');
  await store.update(resources.configMaps, known('latter'));
  await expect.poll(() => answerTo('latter')).toBe('not ada');
  expect(await answerTo('former')).toBe('request is not authenticated');
});
