// Who gets the certificate of a worker, by tokens of a real kube-apiserver that are bound to pods and so to nodes.
import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { controllerName, mustBe } from '../../runtime/certificates.ts';
import { makeSigningRequest } from '../../runtime/x509-maker.ts';
import { releaseNamespace as namespace } from './chart.ts';
import { tokenOf } from './chart-accounts.ts';
import { enrolmentAudience as audience, EnrolmentFixture, workerAccount } from './enrolment-fixture.ts';
import { answerOf } from './run-program.ts';

const workerOnA = 'CN=system:longshore:worker:node-a';

let fixture: EnrolmentFixture;
let server: { address: string; close(): Promise<void> };

beforeAll(async () => {
  fixture = await EnrolmentFixture.start(['node-a', 'node-b']);
  await fixture.kubectl.out(['create', 'serviceaccount', 'somebody', '-n', namespace]);
  server = await fixture.startServer();
});

afterAll(async () => {
  await server?.close();
  await fixture?.[Symbol.asyncDispose]();
});

interface Reply {
  status: number;
  code?: string;
  detail?: string;
  certificate?: string;
  ca?: string;
}

interface Asking {
  headers?: Record<string, string>;
  body?: string;
  path?: string;
  method?: 'POST' | 'GET';
}

async function ask({ headers = {}, body, path = '/enrol', method = 'POST' }: Asking): Promise<Reply> {
  const { certificate: ca } = fixture.authority;
  const dispatcher = new Agent({ connect: { ca, checkServerIdentity: mustBe(controllerName) } });
  try {
    const answer = await request(`https://${server.address}${path}`, {
      ...{ method, headers, dispatcher },
      ...(body === undefined ? {} : { body }),
    });
    // Safe: what a test expects of it is looked at there.
    return { status: answer.statusCode, ...((await answer.body.json()) as object) };
  } finally {
    await dispatcher.destroy();
  }
}

async function enrol(token: string, signingRequest?: string): Promise<Reply> {
  const asked = signingRequest ?? (await makeSigningRequest()).request;
  return ask({ headers: { authorization: `Bearer ${token}` }, body: JSON.stringify({ request: asked }) });
}

/** The same token with other claims, signed by the key of kube-apiserver. */
async function resigned(token: string, change: (claims: Record<string, unknown>) => object): Promise<string> {
  const [header = '', claims = ''] = token.split('.');
  const changed = change(JSON.parse(Buffer.from(claims, 'base64url').toString()));
  const content = `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}`;
  const key = createPrivateKey(await readFile(join(dirname(fixture.plane.kubeconfig), 'service-account.key')));
  return `${content}.${sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

describe('a worker with the token of its pod', () => {
  test('gets a certificate of its node, for its own key, by our CA', async () => {
    const { key, request: signingRequest } = await makeSigningRequest();
    const { status, certificate = '', ca } = await enrol(await fixture.workerToken('right', 'node-a'), signingRequest);
    expect([status, ca]).toEqual([200, fixture.authority.certificate]);
    const made = new X509Certificate(certificate);
    expect([made.subject, made.subjectAltName, made.ca]).toEqual([workerOnA, undefined, false]);
    expect(made.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(made.verify(new X509Certificate(fixture.authority.certificate).publicKey)).toBe(true);
  });

  test('gets no other name, whatever its request asks for', async () => {
    const { out } = await answerOf('openssl', [
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'],
      ...['-subj', '/CN=system:longshore:worker:node-b/O=system:masters'],
      ...['-addext', 'subjectAltName=DNS:node-b,IP:127.0.0.1', '-addext', 'basicConstraints=CA:TRUE'],
    ]);
    expect(out).toContain('BEGIN CERTIFICATE REQUEST');
    const { status, certificate = '' } = await enrol(await fixture.workerToken('greedy', 'node-a'), out);
    expect(status).toBe(200);
    const made = new X509Certificate(certificate);
    expect([made.subject, made.subjectAltName, made.ca]).toEqual([workerOnA, undefined, false]);
  });
});

describe('no certificate gets', () => {
  const unknown = 'kube-apiserver does not know the token, or it was made for somebody else';

  async function expectRefusal(asking: Promise<Reply>, status: number, code: string, detail: string): Promise<void> {
    const reply = await asking;
    expect(reply).toMatchObject({ status, code, detail: expect.stringContaining(detail) });
    expect(reply).not.toHaveProperty('certificate');
  }

  test('who shows no token, garbage, or the token of a person', async () => {
    await expectRefusal(ask({ body: '{}' }), 401, 'Unauthenticated', 'no bearer token');
    const basic = { authorization: 'Basic YTpi' };
    await expectRefusal(ask({ headers: basic, body: '{}' }), 401, 'Unauthenticated', 'no bearer token');
    await expectRefusal(enrol('garbage'), 401, 'Unauthenticated', unknown);
    await expectRefusal(enrol(fixture.plane.token), 401, 'Unauthenticated', unknown);
  });

  test('who shows a token that was made for kube-apiserver', async () => {
    const pod = await fixture.addPod('without-audience', 'node-a');
    const token = await tokenOf(fixture.kubectl, workerAccount, { pod });
    await expectRefusal(enrol(token), 401, 'Unauthenticated', unknown);
  });

  test('another account on the same node', async () => {
    const pod = await fixture.addPod('stranger', 'node-a', 'somebody');
    const token = await tokenOf(fixture.kubectl, 'somebody', { audience, pod });
    await expectRefusal(enrol(token), 403, 'Forbidden', 'system:serviceaccount:longshore:somebody is no worker');
  });

  test('an account of the same name in another namespace', async () => {
    await fixture.kubectl.out(['create', 'namespace', 'elsewhere']);
    await fixture.kubectl.out(['create', 'serviceaccount', workerAccount, '-n', 'elsewhere']);
    const token = await tokenOf(fixture.kubectl, workerAccount, { audience, namespace: 'elsewhere' });
    await expectRefusal(
      enrol(token),
      403,
      'Forbidden',
      `system:serviceaccount:elsewhere:${workerAccount} is no worker`,
    );
  });

  test('the right account by a token that is bound to no pod, and so says of no node', async () => {
    const token = await tokenOf(fixture.kubectl, workerAccount, { audience });
    await expectRefusal(enrol(token), 403, 'Forbidden', 'the token does not name its node');
  });

  test('who shows a token that has ended', async () => {
    const token = await fixture.workerToken('late', 'node-a');
    expect(await enrol(await resigned(token, (claims) => claims))).toMatchObject({ status: 200 });
    const now = Math.floor(Date.now() / 1_000);
    const past = { iat: now - 7_200, nbf: now - 7_200, exp: now - 3_600 };
    const ended = await resigned(token, (claims) => ({ ...claims, ...past }));
    await expectRefusal(enrol(ended), 401, 'Unauthenticated', unknown);
  });

  test('who shows a token whose claims were changed', async () => {
    const [header, claims = '', signature] = (await fixture.workerToken('forged', 'node-a')).split('.');
    const text = Buffer.from(claims, 'base64url').toString().replaceAll('node-a', 'node-b');
    const forged = [header, Buffer.from(text).toString('base64url'), signature].join('.');
    await expectRefusal(enrol(forged), 401, 'Unauthenticated', unknown);
  });

  test('a pod that is gone', async () => {
    const token = await fixture.workerToken('gone', 'node-b');
    expect(await enrol(token)).toMatchObject({ status: 200 });
    const now = ['--force', '--grace-period=0'];
    expect(await fixture.kubectl.answer(['delete', 'pod', 'gone', '-n', namespace, ...now])).toMatchObject({ code: 0 });
    // kube-apiserver remembers for ten seconds whose a token is.
    await vi.waitFor(() => expectRefusal(enrol(token), 401, 'Unauthenticated', unknown), { timeout: 30_000 });
  });

  test('a request that is none', async () => {
    const token = await fixture.workerToken('talkative', 'node-a');
    const headers = { authorization: `Bearer ${token}` };
    const { request: whole } = await makeSigningRequest();
    const lines = whole.trim().split('\n');
    const last = lines.at(-2) ?? '';
    const flipped = lines.with(-2, `${last.startsWith('A') ? 'B' : 'A'}${last.slice(1)}`).join('\n');
    for (const unreadable of ['garbage', flipped]) {
      await expectRefusal(enrol(token, unreadable), 422, 'InvalidRequest', 'the certificate request');
    }
    await expectRefusal(ask({ headers, body: 'not JSON' }), 400, 'MalformedRequest', 'not JSON');
    await expectRefusal(ask({ headers, body: '{"request": 1}' }), 400, 'MalformedRequest', 'no `request`');
    await expectRefusal(ask({ headers, body: 'x'.repeat(20_000) }), 413, 'TooLarge', 'at most 16384 bytes');
    await expectRefusal(ask({ headers, body: '{}', path: '/other' }), 404, 'NotFound', 'only POST /enrol');
    await expectRefusal(ask({ headers, method: 'GET' }), 404, 'NotFound', 'only POST /enrol');
  });
});
