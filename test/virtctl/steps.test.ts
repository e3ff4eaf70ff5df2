// `virtctl image-upload` as a table: each step's verb, path and body, what the answer must hold, and what virtctl would say otherwise.
// The order and the conditions are those of kubevirt's pkg/virtctl/imageupload.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Service, until } from '../service-fixture.ts';

let service: Service;
beforeAll(async () => {
  service = await Service.start();
}, 120_000);
afterAll(() => service.stop());

const claims = '/api/v1/namespaces/default/persistentvolumeclaims';
const dataVolumes = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';
const tokens = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/default/uploadtokenrequests';
const cdi = (name: string) => `cdi.kubevirt.io/${name}`;
const image = randomBytes(1_048_576);

interface KubeAnswer {
  metadata?: { annotations?: Record<string, string> };
  spec?: { uploadProxyURLOverride?: string };
  status?: { phase?: string; token?: string; uploadProxyURL?: string };
}

interface Step {
  does: string;
  verb: string;
  path: string;
  body?: unknown;
  status: number;
  /** What virtctl looks for; polled as virtctl polls. */
  holds?: (answer: KubeAnswer) => boolean;
  /** Otherwise virtctl says. */
  otherwise: string;
}

function uploadSteps(kind: 'dv' | 'pvc', name: string): Step[] {
  const size = { resources: { requests: { storage: '4Mi' } } };
  const create: Step =
    kind === 'dv'
      ? {
          ...{ does: 'creates the DataVolume', verb: 'POST', path: dataVolumes, status: 201, otherwise: 'the Status' },
          body: {
            ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name, namespace: 'default' } },
            spec: { source: { upload: {} }, contentType: 'kubevirt', storage: size },
          },
        }
      : {
          ...{ does: 'creates the claim', verb: 'POST', path: claims, status: 201, otherwise: 'the Status' },
          body: {
            ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
            metadata: {
              ...{ name, namespace: 'default', labels: { [cdi('applyStorageProfile')]: 'true' } },
              annotations: { [cdi('storage.upload.target')]: '', [cdi('storage.contentType')]: 'kubevirt' },
            },
            spec: { accessModes: ['ReadWriteOnce'], ...size },
          },
        };
  const ready: Step =
    kind === 'dv'
      ? {
          ...{ does: 'waits for the phase', verb: 'GET', path: `${dataVolumes}/${name}`, status: 200 },
          holds: ({ status }) => status?.phase === 'UploadReady',
          otherwise: 'cannot upload to DataVolume in X phase, or a timeout',
        }
      : {
          ...{ does: 'waits for the claim', verb: 'GET', path: `${claims}/${name}`, status: 200 },
          holds: ({ metadata }) => metadata?.annotations?.[cdi('storage.pod.ready')] === 'true',
          otherwise: 'timed out waiting for the condition',
        };
  return [
    { does: 'asks for the claim', verb: 'GET', path: `${claims}/${name}`, status: 404, otherwise: 'the Status' },
    create,
    ready,
    {
      ...{ does: 'asks for the proxy', verb: 'GET', path: '/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config' },
      status: 200,
      holds: ({ status, spec }) => (spec?.uploadProxyURLOverride ?? status?.uploadProxyURL ?? '') !== '',
      otherwise: 'uploadproxy URL not found',
    },
  ];
}

async function take(step: Step): Promise<KubeAnswer> {
  let answer = await service.call<KubeAnswer>(step.verb, step.path, step.body);
  expect(answer.status, `${step.does}: ${JSON.stringify(answer.body)}`).toBe(step.status);
  const { holds } = step;
  if (holds === undefined) return answer.body;
  await until(`${step.does}, else virtctl says: ${step.otherwise}`, async () => {
    if (holds(answer.body)) return true;
    answer = await service.call<KubeAnswer>(step.verb, step.path);
    return holds(answer.body);
  });
  return answer.body;
}

async function tokenFor(name: string): Promise<string> {
  const body = {
    ...{ apiVersion: 'upload.cdi.kubevirt.io/v1beta1', kind: 'UploadTokenRequest' },
    metadata: { generateName: 'token-for-virtctl-' },
    spec: { pvcName: name },
  };
  const answer = await service.call<KubeAnswer>('POST', tokens, body);
  expect(Math.trunc(answer.status / 100), 'virtctl shows the Status').toBe(2);
  return answer.body.status?.token ?? '';
}

function proxy(path: string): URL {
  return new URL(path, service.state.uploadProxy);
}

describe.each(['dv', 'pvc'] as const)('virtctl image-upload %s', (kind) => {
  const name = `virtctl-${kind}`;
  let token = '';

  test.each(uploadSteps(kind, name))('$does', async (step) => {
    await take(step);
  });

  test('gets a token', async () => {
    token = await tokenFor(name);
    expect(token.split('.')).toHaveLength(3);
  });

  test('HEAD of the async path answers 200, else virtctl takes the sync path', async () => {
    const headers = { authorization: `Bearer ${token}` };
    expect((await service.send('HEAD', proxy('/v1beta1/upload-async'), { headers })).status).toBe(200);
  });

  test('a forged token gets 401, of which virtctl says: authentication failed', async () => {
    const headers = { authorization: `Bearer ${token.slice(0, -6)}AAAAAA` };
    const answer = await service.send('POST', proxy('/v1beta1/upload-async'), { headers, body: image });
    expect(answer.status).toBe(401);
  });

  test('POST of the bytes answers 200, else virtctl says: unexpected return value', async () => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' };
    const sent = { ...headers, 'content-length': String(image.byteLength) };
    const answer = await service.send('POST', proxy('/v1beta1/upload-async'), { headers: sent, body: image });
    expect(answer.status, answer.text).toBe(200);
  });

  test('the claim comes to Succeeded, else virtctl says: Timed out waiting for post upload processing', async () => {
    await take({
      ...{ does: 'waits for the end', verb: 'GET', path: `${claims}/${name}`, status: 200 },
      holds: ({ metadata }) => metadata?.annotations?.[cdi('storage.pod.phase')] === 'Succeeded',
      otherwise: 'Timed out waiting for post upload processing to complete',
    });
  });

  test('a second time virtctl says: already successfully imported, from the phase on the claim', async () => {
    const { body } = await service.call<KubeAnswer>('GET', `${claims}/${name}`);
    expect(body.metadata?.annotations?.[cdi('storage.pod.phase')]).toBe('Succeeded');
    const headers = { authorization: `Bearer ${token}` };
    const answer = await service.send('POST', proxy('/v1beta1/upload-async'), { headers, body: image });
    expect(answer.status).toBe(503);
  });
});
