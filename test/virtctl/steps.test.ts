// `virtctl image-upload` against a whole service on one machine, step by step.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Service } from '../service-fixture.ts';
import { claimPath, type KubeAnswer, lastStep, takeStep, tokenFor, uploadSteps } from './upload-steps.ts';

let service: Service;
beforeAll(async () => {
  service = await Service.start();
}, 120_000);
afterAll(() => service.stop());

const image = randomBytes(1_048_576);

function proxy(path: string): URL {
  return new URL(path, service.state.uploadProxy);
}

describe.each(['dv', 'pvc'] as const)('virtctl image-upload %s', (kind) => {
  const target = { kind, namespace: 'default', name: `virtctl-${kind}`, size: '4Mi' };
  let token = '';

  test.each(uploadSteps(target))('$does', async (step) => {
    await takeStep(service, step);
  });

  test('gets a token', async () => {
    token = await tokenFor(service, target);
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
    await takeStep(service, lastStep(target));
  });

  test('a second time virtctl says: already successfully imported, from the phase on the claim', async () => {
    const { body } = await service.call<KubeAnswer>('GET', claimPath(target));
    expect(body.metadata?.annotations?.['cdi.kubevirt.io/storage.pod.phase']).toBe('Succeeded');
    const headers = { authorization: `Bearer ${token}` };
    const answer = await service.send('POST', proxy('/v1beta1/upload-async'), { headers, body: image });
    expect(answer.status).toBe(503);
  });
});
