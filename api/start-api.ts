// Starts the API: Kubernetes-style REST over HTTPS, in front of the embedded store. Objects that every service has are made first, so that
// the first request finds them.
import type { Server } from 'node:https';
import fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import { Fault, toFault } from '../domain/fault.ts';
import type { TlsPair } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import type { UploadTokens } from '../runtime/upload-tokens.ts';
import { startEventExpiry } from './event-expiry.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { setIdentity, subjectOf } from './rest/api-request.ts';
import { authenticate } from './rest/authentication.ts';
import { registerBodyParsers } from './rest/body-parsers.ts';
import { statusOf } from './rest/kube-status.ts';
import type { ApiContext, Operations } from './rest/request-context.ts';
import { registerDiscovery } from './rest/routes-discovery.ts';
import { registerObjects } from './rest/routes-objects.ts';
import { registerOpenApi } from './rest/routes-open-api.ts';
import { registerOperations } from './rest/routes-operations.ts';
import { registerReviews } from './rest/routes-reviews.ts';
import { registerUploadTokens } from './rest/routes-upload-tokens.ts';
import { seed } from './seed.ts';
import type { SqliteStore } from './store/sqlite-store.ts';
import type { Users } from './users.ts';

/** As kube-apiserver's limit for one request. An object may have less: object-limits.ts. */
const largestRequestBytes = 3 * 1024 * 1024;
const openToAll = new Set(['/version', '/healthz', '/livez', '/readyz']);

export interface StartApiOptions {
  config: Pick<Config, 'listenHost' | 'apiPort' | 'tokenLifetimeSeconds' | 'storeBudgetMiB'>;
  store: SqliteStore;
  users: Users;
  tls: TlsPair;
  tokens: Pick<UploadTokens, 'issue'>;
  logger: Logger;
  operations: Operations;
  isReady?: () => boolean;
}

export interface RunningApi {
  readonly host: string;
  readonly port: number;
  /** `https://host:port` */
  readonly address: string;
  /** Token of user `admin`, told at the first start only. */
  readonly adminToken: string | undefined;
  /** Ends every request and watch; the store stays open. */
  close(): Promise<void>;
}

/** Fastify's own errors, told by their codes. */
function faultOf(error: unknown): Fault {
  if (typeof error !== 'object' || error === null || !('code' in error) || error instanceof Fault)
    return toFault(error);
  const message = error instanceof Error ? error.message : String(error.code);
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new Fault('TooLarge', `Request entity too large: limit is ${largestRequestBytes}`);
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return new Fault('UnsupportedMediaType', message);
  const isClients = 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500;
  return isClients ? new Fault('MalformedRequest', message, { cause: error }) : toFault(error);
}

function registerErrors(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler<FastifyError | Error>((error, request, reply) => {
    const fault = faultOf(error);
    if (fault.row.http >= 500)
      logger.error({ err: error, method: request.method, url: request.url }, 'a request failed');
    // A Status knows only Kubernetes' reasons; who wants our code reads the header, as on the upload paths.
    return reply
      .code(fault.row.http)
      .header('longshore-fault', fault.code)
      .send(statusOf(fault, subjectOf(request)));
  });
  app.setNotFoundHandler((_request, reply) => {
    const fault = new Fault('NotFound', 'the server could not find the requested resource');
    return reply.code(404).send(statusOf(fault));
  });
}

function registerIdentity(app: FastifyInstance, users: Users): void {
  app.addHook('onRequest', async (request) => {
    const identity = authenticate(request.raw, users);
    if (identity !== undefined) setIdentity(request, identity);
    else if (!isOpenToAll(request)) throw new Fault('Unauthenticated', 'Unauthorized');
    // Here, so that a body to nowhere is not read.
    if (request.is404) throw new Fault('NotFound', 'the server could not find the requested resource');
  });
}

/** Only what has no body: nobody's bodies are never read. */
function isOpenToAll({ method, url }: FastifyRequest): boolean {
  return (method === 'GET' || method === 'HEAD') && openToAll.has(url.split('?')[0] ?? '');
}

/** One count and one duration a request; watches last as long as they last, so they are only counted. */
function registerMetrics(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const labels = { verb: request.method, resource: subjectOf(request)?.resource.plural ?? '' };
    metrics.count('longshore_api_requests_total', { ...labels, status: String(reply.statusCode) });
    if (!/[?&]watch=(true|1)/.test(request.url)) {
      metrics.observe('longshore_api_request_seconds', labels, reply.elapsedTime / 1_000);
    }
  });
}

function buildApp(options: StartApiOptions, context: ApiContext): FastifyInstance<Server> {
  const { key, cert, ca } = options.tls;
  const app = fastify({
    https: { key, cert, ca, requestCert: true, rejectUnauthorized: false },
    bodyLimit: largestRequestBytes,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 300 },
  });
  registerBodyParsers(app);
  registerErrors(app, options.logger);
  registerMetrics(app);
  registerIdentity(app, options.users);
  registerDiscovery(app, options.isReady ?? (() => true));
  registerOpenApi(app);
  registerReviews(app, options.users);
  registerUploadTokens(app, context);
  registerOperations(app, context);
  registerObjects(app, context);
  return app;
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const fault = toFault(error);
    throw new Fault(fault.code, `${host}:${port}: ${fault.detail}`, { cause: error });
  }
  const bound = app.server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}

/** @throws Fault AddressInUse, PermissionDenied; nothing runs then */
export async function startApi(options: StartApiOptions): Promise<RunningApi> {
  const { config, store, users, tokens, operations, logger } = options;
  const { listenHost: host, tokenLifetimeSeconds } = config;
  const storeBudgetBytes = config.storeBudgetMiB * 1024 * 1024;
  const context: ApiContext = { store, users, tokens, operations, logger, tokenLifetimeSeconds, storeBudgetBytes };
  await seed(store);
  const adminToken = await users.ensureAdmin();
  const app = buildApp(options, context);
  options.tls.onRenewal?.((pair) => app.server.setSecureContext({ ...pair }));
  const port = await listen(app, host, config.apiPort);
  const collector = startGarbageCollector(store, logger);
  const expiry = startEventExpiry(store, logger);
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    host,
    port,
    address: `https://${shownHost}:${port}`,
    adminToken,
    close: async () => {
      expiry.stop();
      await collector.stop();
      await app.close();
    },
  };
}
