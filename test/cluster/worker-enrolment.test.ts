// The worker's side of its certificate: what it waits for, whom it trusts, and that it renews.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { KubeClient } from '../../cluster/kube-client.ts';
import { KubeObjectStore } from '../../cluster/kube-object-store.ts';
import { keepEnrolled } from '../../cluster/worker-enrolment.ts';
import { CertificateAuthority } from '../../runtime/certificates.ts';
import { closeServer, formatAddress, listenOn, parseAddress } from '../../runtime/listen.ts';
import { releaseNamespace as namespace } from './chart.ts';
import { clientOf } from './chart-accounts.ts';
import { EnrolmentFixture, silent, workerAccount } from './enrolment-fixture.ts';

const waiting = { timeout: 30_000, interval: 50 };

let fixture: EnrolmentFixture;
let client: KubeClient;
let directory: string;
let ending: AbortController;

beforeAll(async () => {
  fixture = await EnrolmentFixture.start(['node-a', 'node-b']);
  client = await clientOf(fixture.plane, fixture.kubectl, workerAccount);
});

afterAll(async () => {
  await client?.close();
  await fixture?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-worker-'));
  ending = new AbortController();
});

afterEach(async () => {
  ending.abort();
  await rm(directory, { recursive: true, force: true });
});

/** @param address of the controller @returns when the worker has its certificate */
async function enrolled(token: string, address: string, everySeconds = 1) {
  const tokenPath = join(directory, 'token');
  await writeFile(tokenPath, `${token}\n`);
  return keepEnrolled(
    {
      ...{ address, reader: new KubeObjectStore(client), namespace, tokenPath },
      ...{ directory: join(directory, 'pki'), everySeconds, logger: silent },
    },
    ending.signal,
  );
}

async function tellCa(ca: string): Promise<void> {
  const patch = JSON.stringify({ data: { 'ca.crt': ca } });
  await fixture.kubectl.out(['patch', 'configmap', 'longshore-ca', '-n', namespace, '--patch', patch]);
}

const file = (name: string): Promise<string> => readFile(join(directory, 'pki', name), 'utf8');
const certificate = async () => new X509Certificate(await file('worker.crt'));

test('A worker waits for the CA, then has its files, and makes them anew before they end', async () => {
  await using undo = new AsyncDisposableStack();
  const server = await fixture.startServer({ lifetimeSeconds: 6 });
  undo.defer(() => server.close());
  const done = enrolled(await fixture.workerToken('renewing', 'node-b'), server.address);
  const ca = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'longshore-ca' } };
  const data = { 'ca.crt': fixture.authority.certificate };
  await fixture.kubectl.out(['create', '-f', '-'], JSON.stringify({ ...ca, data }));
  await done;
  const first = await certificate();
  expect(first.subject).toBe('CN=system:longshore:worker:node-b');
  expect(first.checkPrivateKey(createPrivateKey(await file('worker.key')))).toBe(true);
  expect(await file('ca.crt')).toBe(fixture.authority.certificate);
  await vi.waitFor(async () => {
    const later = await certificate();
    expect([later.subject, later.serialNumber]).toEqual([first.subject, expect.not.stringMatching(first.serialNumber)]);
    expect(later.checkPrivateKey(createPrivateKey(await file('worker.key')))).toBe(true);
  }, waiting);
});

test('A worker shows its token to nobody but the controller, and asks again until that is there', async () => {
  await using undo = new AsyncDisposableStack();
  const { authority } = fixture;
  const { key, cert } = await authority.issue({ name: 'other', cn: 'longshore-api', hosts: [], usages: ['server'] });
  const shown = vi.fn();
  const dialled = vi.fn();
  const other = createServer({ key, cert }, shown);
  other.on('tlsClientError', dialled);
  other.on('secureConnection', dialled);
  const address = await listenOn(other, { host: '127.0.0.1', port: 0 });
  const done = enrolled(await fixture.workerToken('careful', 'node-a'), formatAddress(address));
  await vi.waitFor(() => expect(dialled).toHaveBeenCalled(), waiting);
  await closeServer(other);
  expect(shown).not.toHaveBeenCalled();
  const server = await fixture.startServer({ address });
  undo.defer(() => server.close());
  await done;
  expect((await certificate()).subject).toBe('CN=system:longshore:worker:node-a');
});

test('A worker trusts the next CA when it is told, and has another certificate when that one signs or all others are gone', async () => {
  await using undo = new AsyncDisposableStack();
  const authorityIn = (name: string) => CertificateAuthority.openOrCreate(join(directory, name));
  const [next, other] = [await authorityIn('next'), await authorityIn('other')];
  const { certificate: formerCa } = fixture.authority;
  const server = await fixture.startServer();
  const address = parseAddress(server.address);
  const { onWritten } = await enrolled(await fixture.workerToken('rotated', 'node-b'), server.address, 3_600);
  const written = vi.fn();
  onWritten(written);
  const first = await certificate();

  await tellCa(`${formerCa}${next.certificate}`);
  await vi.waitFor(() => expect(written).toHaveBeenCalledOnce(), waiting);
  expect(await file('ca.crt')).toBe(`${formerCa}${next.certificate}`);
  expect((await certificate()).serialNumber).toBe(first.serialNumber);

  await server.close();
  const second = await fixture.startServer({ signer: next, address });
  await tellCa(`${next.certificate}${formerCa}`);
  const isSignedBy = async ({ certificate: ca }: CertificateAuthority) =>
    expect((await certificate()).verify(new X509Certificate(ca).publicKey)).toBe(true);
  await vi.waitFor(() => isSignedBy(next), waiting);

  await second.close();
  const third = await fixture.startServer({ signer: other, address });
  undo.defer(() => third.close());
  await tellCa(other.certificate);
  await vi.waitFor(() => isSignedBy(other), waiting);
  expect(await file('ca.crt')).toBe(other.certificate);
  expect((await certificate()).checkPrivateKey(createPrivateKey(await file('worker.key')))).toBe(true);
  await tellCa(formerCa);
});

test('A worker that is stopped while it waits ends at once', async () => {
  const done = enrolled('garbage', '127.0.0.1:1');
  ending.abort();
  await expect(done).rejects.toMatchObject({ code: 'Cancelled' });
});
