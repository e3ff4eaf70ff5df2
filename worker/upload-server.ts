// The worker's door for uploads: HTTP/1.1 over TLS, open only to the certificate of the upload proxy. CDI's paths, order of checks and statuses.
// The body is read only as fast as the disk takes it, from the request or from a socket of the proxy where both are on one machine; what is refused is
// answered without reading the rest.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import { TLSSocket } from 'node:tls';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { Fault, faultFromRecord, toFault } from '../domain/fault.ts';
import { isVolumeId } from '../domain/volume-record.ts';
import { handedBytesHeader } from '../jobs/handed-body.ts';
import { type TlsPair, uploadClientName } from '../runtime/certificates.ts';
import { closeServer, formatAddress, listenOn } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import type { PrivateDirectory } from '../runtime/private-directory.ts';
import { BodyWatch } from './body-watch.ts';
import { type FetchedBody, handedBodyOf } from './handed-body.ts';
import type { IncomingUpload, UploadReceiver } from './upload-receiver.ts';
import { faultHeader, replyOf, volumeHeader } from './upload-reply.ts';

export interface UploadServerOptions {
  host: string;
  port?: number;
  tls: TlsPair;
  receiver: UploadReceiver;
  /** In which a proxy of this machine hands bodies over; none on a cluster. */
  directory?: PrivateDirectory | undefined;
  /** Longest silence within a body. */
  idleTimeoutMs: number;
  logger: Logger;
}

export interface UploadServer {
  /** host:port */
  address: string;
  /** Ends all connections. */
  close(): Promise<void>;
}

interface UploadPath {
  path: string;
  /** Answered as soon as the bytes are durable. */
  async?: boolean;
  contentType?: 'archive';
}

/** An archive is unpacked as it comes, so its answer never waits for a conversion. */
const paths: readonly UploadPath[] = ['/v1beta1', '/v1alpha1'].flatMap((version) => [
  { path: `${version}/upload` },
  { path: `${version}/upload-async`, async: true },
  { path: `${version}/upload-archive`, contentType: 'archive' as const },
]);

/** @throws Fault AddressInUse, PermissionDenied */
export async function startUploadServer(options: UploadServerOptions): Promise<UploadServer> {
  const app = fastify<Server>({
    https: { ...options.tls, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
    logger: false,
    // A body may take hours; BodyWatch ends one that stands still.
    requestTimeout: 0,
    connectionTimeout: 0,
  });
  // Bodies are never parsed: whatever their type, the handler reads the stream.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.setNotFoundHandler((_request, reply) => refuse(reply, new Fault('NotFound', 'no such path')));
  app.setErrorHandler((error, _request, reply) => refuse(reply, toFault(error, { otherwise: 'MalformedRequest' })));
  app.get('/healthz', (_request, reply) => reply.type('text/plain').send('OK'));
  for (const path of paths) {
    if (path.async === true) app.head(path.path, (_request, reply) => reply.code(200).send());
    app.post(path.path, (request, reply) => upload(request, reply, path, options));
  }
  await app.ready();
  options.tls.onRenewal?.((pair) => app.server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' }));
  const bound = await listenOn(app.server, { host: options.host, port: options.port ?? 0 });
  return {
    address: formatAddress(bound),
    close: async () => {
      await closeServer(app.server);
      await app.close();
    },
  };
}

async function upload(request: FastifyRequest, reply: FastifyReply, path: UploadPath, options: UploadServerOptions) {
  const { receiver, logger, idleTimeoutMs } = options;
  const watch = new BodyWatch(request.raw, reply.raw, idleTimeoutMs);
  try {
    requireProxy(request.raw);
    const volumeId = request.headers[volumeHeader];
    if (typeof volumeId !== 'string' || !isVolumeId(volumeId)) {
      throw new Fault('NotAnUploadTarget', `header ${volumeHeader} names no volume`);
    }
    const handed = handedBodyOf(request.raw, options.directory);
    const slot = receiver.take(volumeId, path.contentType);
    const key = { volumeId, attempt: slot.attempt };
    // Asked before the bytes are there: the conversion may end before the answer is looked for.
    const waiting = new AbortController();
    const converted = receiver.convertedOutcome(key, AbortSignal.any([watch.signal, waiting.signal]));
    converted.catch(() => undefined); // asked below where it matters
    const incoming = incomingOf(request.raw, handed, watch);
    try {
      const received = await receiver.receive(slot, incoming, watch.signal);
      if (received === 'staged' && path.async !== true) {
        const outcome = await converted;
        if (!outcome.ok) throw faultFromRecord(outcome.fault);
      }
    } finally {
      waiting.abort();
      if (incoming.body !== request.raw) incoming.body.destroy();
    }
    return await reply.code(200).send();
  } catch (error) {
    const fault = toFault(error, { signal: watch.signal });
    logger.debug({ err: fault }, 'upload refused');
    return await refuse(reply, fault);
  } finally {
    watch.end();
  }
}

/** @throws Fault Forbidden unless the verified client certificate is the proxy's */
function requireProxy(request: IncomingMessage): void {
  const socket = request.socket;
  if (socket instanceof TLSSocket && socket.authorized) {
    if (socket.getPeerCertificate().subject?.CN === uploadClientName) return;
  }
  throw new Fault('Forbidden', 'only the upload proxy may upload here');
}

/** The body that goes with the request, or the one that is handed over beside it. */
function incomingOf(request: IncomingMessage, handed: FetchedBody | undefined, watch: BodyWatch): IncomingUpload {
  if (handed === undefined) return { body: request, declaredBytes: bytesOf(request.headers['content-length']) };
  const body = handed.fetch();
  watch.follow(body);
  return { body, declaredBytes: bytesOf(request.headers[handedBytesHeader]) };
}

function bytesOf(text: string | string[] | undefined): number | undefined {
  const bytes = text === undefined ? Number.NaN : Number(text);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Answers without waiting for the rest of the body. */
async function refuse(reply: FastifyReply, fault: Fault): Promise<void> {
  if (reply.sent || reply.raw.destroyed) return;
  const { status, body } = replyOf(fault);
  if (!reply.request.raw.complete) lingerAfter(reply.request.raw, reply.raw);
  await reply.code(status).header(faultHeader, fault.code).type('text/plain; charset=utf-8').send(body);
}

const lingerMs = 1_000;

/**
 * A connection that is cut with bytes unread resets, and the client may lose the answer: for a moment what still comes is thrown away. A body that ends
 * in that time leaves the connection as it is.
 */
function lingerAfter(request: IncomingMessage, response: ServerResponse): void {
  response.once('finish', () => {
    request.resume();
    const timer = setTimeout(() => request.socket.destroy(), lingerMs);
    for (const end of ['end', 'close'] as const) request.once(end, () => clearTimeout(timer));
  });
}
