// The only public door for bytes: checks the token, waits for the claim, finds the worker that owns the volume and passes the body on.
// It keeps no state; one failed upload never affects the next.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, type Server } from 'node:https';
import { Fault, toFault } from '../domain/fault.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { mustBe, type TlsPair, workerName } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import type { UploadTokens } from '../runtime/upload-tokens.ts';
import { bearerToken } from './bearer-token.ts';
import { BodySocket } from './body-socket.ts';
import { allowOrigin, answerPreflight, isPreflight } from './cross-origin.ts';
import { forwardUpload } from './forward-upload.ts';
import { answerOfFault, type ProxyAnswer, sendAnswer } from './proxy-answer.ts';
import { claimOfToken, findTarget, type UploadTarget, type WorkerFinder } from './upload-target.ts';

export interface UploadProxyOptions {
  config: Pick<Config, 'listenHost' | 'uploadProxyPort' | 'readyWaitMs' | 'idleTimeoutMs'>;
  reader: ObjectReader;
  registry: WorkerFinder;
  tokens: UploadTokens;
  tls: {
    /** What clients see. */
    server: TlsPair;
    /** What workers see: CN client.upload-server.cdi.kubevirt.io. */
    client: TlsPair;
  };
  /** Private, where workers of this machine may fetch bodies from; none on a cluster. */
  runDirectory?: string;
  logger: Logger;
}

export interface UploadProxy {
  readonly address: { host: string; port: number };
  /** Ends the uploads that run, too: their clients try again. */
  close(): Promise<void>;
}

/** Path that clients ask → path of the worker's upload server. */
const uploadPaths: Readonly<Record<string, string>> = {
  '/v1beta1/upload': '/v1beta1/upload',
  '/v1alpha1/upload': '/v1beta1/upload',
  '/v1beta1/upload-async': '/v1beta1/upload-async',
  '/v1alpha1/upload-async': '/v1beta1/upload-async',
};

/** Fast on processors with AES; the rest for clients that have none of these. */
const ciphers =
  'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:' +
  'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305';
/** Pieces that are passed on at once. Measured: larger ones cost fresh pages for every buffer, smaller ones a turn for every record. */
const bufferBytes = 131_072;
const headersTimeoutMs = 60_000;

/** @throws Fault AddressInUse */
export async function startUploadProxy(options: UploadProxyOptions): Promise<UploadProxy> {
  const agent = new Agent({
    ...{ keepAlive: true, ...pairOf(options.tls.client), ciphers, minVersion: 'TLSv1.2' },
    checkServerIdentity: (node, certificate) => mustBe(workerName(node))(node, certificate),
  });
  options.tls.client.onRenewal?.((pair) => Object.assign(agent.options, pair));
  const spoken = { ciphers, honorCipherOrder: true, minVersion: 'TLSv1.2' } as const;
  const server = createServer({
    ...pairOf(options.tls.server),
    ...spoken,
    highWaterMark: bufferBytes,
    headersTimeout: headersTimeoutMs,
    // An upload lasts as long as it lasts; forward-upload.ts gives up silent clients.
    requestTimeout: 0,
    keepAliveTimeout: 75_000,
  });
  options.tls.server.onRenewal?.((pair) => server.setSecureContext({ ...pair, ...spoken }));
  const bodies = await openBodySocket(options);
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    // Whatever goes wrong with one request must not end the process, and with it the uploads of everybody else.
    answerRequest(request, response, { ...options, agent, bodies }).catch((error: unknown) => {
      answerUnexpected(error, response, options.logger);
    });
  };
  server.on('request', answer);
  // 100 is sent when the upload is let in, so that a client who asks for it sends no byte in vain.
  server.on('checkContinue', answer);
  try {
    const address = await listenOn(server, { host: options.config.listenHost, port: options.config.uploadProxyPort });
    return { address, close: () => close(server, agent, bodies) };
  } catch (error) {
    await bodies?.close();
    throw error;
  }
}

/** Without it uploads work as well, at a higher price. */
async function openBodySocket({ runDirectory, logger }: UploadProxyOptions): Promise<BodySocket | undefined> {
  if (runDirectory === undefined) return undefined;
  try {
    const bodies = await BodySocket.listen(runDirectory);
    if (bodies === undefined) logger.warn({ runDirectory }, 'others may reach it: bodies go over TLS');
    return bodies;
  } catch (error) {
    logger.warn({ runDirectory, err: toFault(error) }, 'no socket can be made in it: bodies go over TLS');
    return undefined;
  }
}

function pairOf({ key, cert, ca }: TlsPair): TlsPair {
  return { key, cert, ca };
}

async function close(server: Server, agent: Agent, bodies: BodySocket | undefined): Promise<void> {
  await closeServer(server);
  agent.destroy();
  await bodies?.close();
}

interface Context extends UploadProxyOptions {
  agent: Agent;
  bodies: BodySocket | undefined;
}

async function answerRequest(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  allowOrigin(request, response);
  const path = pathOf(request.url ?? '/');
  if (isPreflight(request)) return answerPreflight(request, response);
  if (path === '/healthz') return sendAnswer(request, response, { status: 200, body: 'OK', headers: {} });
  const workerPath = uploadPaths[path];
  if (workerPath === undefined) {
    const headers = { 'longshore-fault': 'NotFound' };
    return sendAnswer(request, response, { status: 404, body: '404 page not found\n', headers });
  }
  return answerUpload(request, response, workerPath, context);
}

/** The path of a request's target in any of its forms. Never fails: what is no path of ours is simply not found. */
function pathOf(target: string): string {
  const absolute = /^https?:\/\/[^/?#]*/i.exec(target)?.[0] ?? '';
  return target.slice(absolute.length).split(/[?#]/, 1)[0] ?? '';
}

function answerUnexpected(error: unknown, response: ServerResponse, logger: Logger): void {
  logger.error({ err: toFault(error) }, 'a request could not be answered');
  if (response.headersSent) response.destroy();
  else response.writeHead(500, { 'longshore-fault': 'Internal', 'content-length': '0', connection: 'close' }).end();
}

/** What the one line of the log tells about an upload. */
interface UploadStory {
  namespace?: string;
  claim?: string;
  target?: UploadTarget;
}

async function answerUpload(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  context: Context,
): Promise<void> {
  const began = performance.now();
  const bytesBefore = request.socket.bytesRead;
  const story: UploadStory = {};
  metrics.add('longshore_uploads_running', {}, 1);
  const answer = await passOn(request, response, path, context, story);
  try {
    await sendAnswer(request, response, answer);
  } finally {
    metrics.add('longshore_uploads_running', {}, -1);
  }
  const code = answer.headers['longshore-fault'] ?? '';
  const bytes = request.socket.bytesRead - bytesBefore;
  metrics.count('longshore_upload_requests_total', { path, status: String(answer.status), code });
  metrics.count('longshore_upload_bytes_total', {}, bytes);
  const { target, ...claim } = story;
  const line = { method: request.method, path, ...claim, volumeId: target?.volumeId, node: target?.node };
  const seconds = Math.round(performance.now() - began) / 1000;
  context.logger.info({ ...line, status: answer.status, code: code || undefined, bytes, seconds }, 'upload request');
}

/** The happy path: token, claim, target, bytes. Never throws: every end is an answer. */
async function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  context: Context,
  story: UploadStory,
): Promise<ProxyAnswer> {
  const signal = signalOfClient(response);
  try {
    const token = await context.tokens.verify(bearerToken(request.headers.authorization));
    const claim = claimOfToken(token);
    [story.namespace, story.claim] = [claim.namespace, claim.name];
    const { reader, registry, config } = context;
    const target = await findTarget(claim, { reader, registry, waitMs: config.readyWaitMs, signal });
    story.target = target;
    if (request.headers.expect !== undefined) response.writeContinue();
    return await forwardUpload(request, {
      agent: context.agent,
      bodies: context.bodies,
      target,
      path: target.contentType === 'archive' ? '/v1beta1/upload-archive' : path,
      signal,
      idleTimeoutMs: config.idleTimeoutMs,
    });
  } catch (error) {
    const fault = toFault(error, { signal });
    if (fault.code === 'Internal') context.logger.error({ err: fault }, 'an upload failed unexpectedly');
    return answerOfFault(fault);
  }
}

/** Aborts when the client goes away before it was answered. */
function signalOfClient(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort(new Fault('UploadInterrupted', 'the client went away'));
  });
  return controller.signal;
}
