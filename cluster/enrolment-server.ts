// Gives each worker of a cluster its certificate, which names its node. A worker proves which node it is by the token that the kubelet gave its pod: bound to
// the pod, made for us alone (audience `longshore`), and kube-apiserver says of it whose it is and where it runs. The key stays with the worker.
//
//   POST /enrol   Authorization: Bearer <token>   {"request": "<PKCS #10 in PEM>"}   →   {"certificate": …, "ca": …}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import { type CertificateAuthority, type TlsPair, workerName } from '../runtime/certificates.ts';
import { closeServer, formatAddress, type ListenAddress, listenOn } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import type { KubeClient } from './kube-client.ts';

const enrolmentAudience = 'longshore';
const nodeOfToken = 'authentication.kubernetes.io/node-name';
const longestBodyBytes = 16_384;
const bodyTimeoutMs = 10_000;

const EnrolmentRequest = Type.Object({ request: Type.String() });
const requestCheck = Compile(EnrolmentRequest);

/** What the worker gets: PEM texts. */
export const Enrolment = Type.Object({ certificate: Type.String(), ca: Type.String() });
export type Enrolment = Static<typeof Enrolment>;

const TokenReview = Compile(
  Type.Object({
    status: Type.Object({
      authenticated: Type.Optional(Type.Boolean()),
      audiences: Type.Optional(Type.Array(Type.String())),
      user: Type.Optional(
        Type.Object({
          username: Type.Optional(Type.String()),
          extra: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String()))),
        }),
      ),
    }),
  }),
);

export interface EnrolmentOptions {
  address: ListenAddress;
  tls: TlsPair;
  /** The one that signs now. */
  authority: () => CertificateAuthority;
  client: Pick<KubeClient, 'json'>;
  /** Of the workers' pods. */
  serviceAccount: { namespace: string; name: string };
  logger: Logger;
}

/** @throws Fault AddressInUse, PermissionDenied */
export async function startEnrolmentServer(
  options: EnrolmentOptions,
): Promise<{ address: string; close(): Promise<void> }> {
  const { key, cert } = options.tls;
  const server = createServer({ key, cert, minVersion: 'TLSv1.3', requestTimeout: bodyTimeoutMs });
  options.tls.onRenewal?.((pair) => server.setSecureContext({ key: pair.key, cert: pair.cert, minVersion: 'TLSv1.3' }));
  server.on('request', (request, response) => void answer(request, response, options));
  const bound = await listenOn(server, options.address);
  return { address: formatAddress(bound), close: () => closeServer(server) };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: EnrolmentOptions): Promise<void> {
  try {
    const enrolment = await enrol(request, options);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(enrolment));
  } catch (error) {
    const fault = toFault(error);
    options.logger.warn({ err: fault, from: request.socket.remoteAddress }, 'no certificate for a worker');
    const { code, detail, row } = fault;
    const problem = { title: row.sentence, status: row.http, code, detail };
    response.writeHead(row.http, { 'content-type': 'application/problem+json', connection: 'close' });
    response.end(JSON.stringify(problem));
  }
}

async function enrol(request: IncomingMessage, options: EnrolmentOptions): Promise<Enrolment> {
  if (request.method !== 'POST' || request.url !== '/enrol') throw new Fault('NotFound', 'only POST /enrol is here');
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) throw new Fault('Unauthenticated', 'the request carries no bearer token');
  const node = await nodeOf(token, options);
  const asked = await readBody(request);
  const authority = options.authority();
  const certificate = await authority.sign(asked.request, {
    ...{ cn: workerName(node), hosts: [], usages: ['server', 'client'] },
  });
  options.logger.info({ node }, 'certificate for a worker');
  return { certificate, ca: authority.certificate };
}

/** The node on which the worker with this token runs. @throws Fault Unauthenticated, Forbidden */
async function nodeOf(token: string, { client, serviceAccount }: EnrolmentOptions): Promise<string> {
  const path = '/apis/authentication.k8s.io/v1/tokenreviews';
  const spec = { token, audiences: [enrolmentAudience] };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: { name: '' }, spec };
  const review = await client.json({ method: 'POST', path, body });
  if (!TokenReview.Check(review))
    throw new Fault('ServiceUnreachable', 'the answer of kube-apiserver is no TokenReview');
  const { authenticated, audiences = [], user } = review.status;
  if (authenticated !== true || !audiences.includes(enrolmentAudience)) {
    throw new Fault('Unauthenticated', 'kube-apiserver does not know the token, or it was made for somebody else');
  }
  const expected = `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`;
  if (user?.username !== expected) throw new Fault('Forbidden', `${user?.username ?? 'nobody'} is no worker`);
  const node = user.extra?.[nodeOfToken]?.[0];
  if (node === undefined) {
    throw new Fault('Forbidden', 'the token does not name its node: Kubernetes 1.30 or later is needed');
  }
  return node;
}

async function readBody(request: IncomingMessage): Promise<Static<typeof EnrolmentRequest>> {
  if (!(Number(request.headers['content-length'] ?? Number.NaN) <= longestBodyBytes)) {
    throw new Fault('TooLarge', `the body must say its length, at most ${longestBodyBytes} bytes`);
  }
  const body = await text(request);
  try {
    const asked: unknown = JSON.parse(body);
    if (requestCheck.Check(asked)) return asked;
  } catch (error) {
    throw new Fault('MalformedRequest', 'the body is not JSON', { cause: error });
  }
  throw new Fault('MalformedRequest', 'the body has no `request`');
}
