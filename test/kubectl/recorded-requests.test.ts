// kubectl's own requests, one after another against a real API, so that no kubectl is needed to keep its commands working.
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../domain/resources.ts';
import { recordedDiscovery } from './recorded-discovery.ts';
import type { Recorded } from './recorded-request.ts';
import { recordedRequests } from './recorded-requests.ts';
import { type Answer, ApiUnderTest } from './running-api.ts';

const protobuf = 'application/vnd.kubernetes.protobuf';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start();
});
afterAll(() => under.close());

function send({ method, path, accept, contentType, body = '' }: Recorded): Promise<Answer> {
  const uid = under.store.entry(resources.dataVolumes, { namespace: 'default', name: 'a' })?.uid ?? '';
  const bytes = Buffer.from(body, contentType === protobuf ? 'base64' : 'utf8');
  const type = contentType === undefined ? {} : { 'content-type': contentType, 'content-length': bytes.length };
  const headers = {
    accept,
    authorization: `Bearer ${under.adminToken}`,
    'user-agent': 'kubectl/v1.32.4 (linux/amd64) kubernetes/4cb5f07',
    ...type,
  };
  return new Promise((resolve, reject) => {
    const url = `${under.api.address}${path.replace('{uid}', uid)}`;
    const asking = request(url, { method, headers, ca: under.authority.certificate, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: JSON.parse(text) });
      });
    });
    asking.on('error', reject);
    asking.end(bytes);
  });
}

describe('kubectl 1.32 as recorded', () => {
  for (const recorded of [...recordedDiscovery, ...recordedRequests]) {
    test(recorded.command, async () => {
      const { status, body } = await send(recorded);
      expect({ status, body }).toMatchObject({ status: recorded.status, body: recorded.expects });
    });
  }
});
