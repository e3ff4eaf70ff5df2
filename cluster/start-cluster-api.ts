// What kube-apiserver asks of us on a cluster, over one HTTPS port: admission webhooks, and the aggregated API of UploadTokenRequests. Stateless: any number of
// replicas answer alike, and none of them leads.
import type { Server } from 'node:https';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { Fault, toFault } from '../domain/fault.ts';
import { reasonOf } from '../domain/kube-reason.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import type { TlsPair } from '../runtime/certificates.ts';
import { closeServer, formatAddress, type ListenAddress, listenOn } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import { answerUploadTokenRequest } from '../runtime/upload-token-request.ts';
import type { UploadTokens } from '../runtime/upload-tokens.ts';
import { reviewAccess } from './access-reviews.ts';
import { answerReview } from './admission-review.ts';
import { webhooks } from './admission-webhooks.ts';
import { type FrontProxy, readFrontProxy, userOf } from './front-proxy.ts';
import type { KubeClient } from './kube-client.ts';

export interface ClusterApiOptions {
  address: ListenAddress;
  tls: TlsPair;
  reader: Pick<ObjectStore, 'get' | 'list'>;
  client: Pick<KubeClient, 'json'>;
  provisioning: Provisioning;
  /** As in AdmissionTools. */
  controllerUser?: string;
  tokens: UploadTokens;
  tokenLifetimeSeconds: number;
  /** How often it is read again by what the front proxy is known: a cluster rotates its CA now and then. */
  everySeconds: number;
  logger: Logger;
}

const group = 'upload.cdi.kubevirt.io';
const version = `${group}/v1beta1`;
/** kube-apiserver sends no larger object. */
const bodyLimitBytes = 8 * 1024 * 1024;

/** @throws Fault AddressInUse, PermissionDenied, NotFound (no aggregation layer) */
export async function startClusterApi(
  options: ClusterApiOptions,
): Promise<{ address: string; close(): Promise<void> }> {
  let proxy = await readFrontProxy(options.reader);
  const { key, cert } = options.tls;
  const secured = (pair: Pick<TlsPair, 'key' | 'cert'>) => ({ key: pair.key, cert: pair.cert, ca: proxy.ca });
  const app = fastify<Server>({
    // Webhooks come without a certificate, so none is demanded here; userOf looks at the one of the front proxy.
    https: { ...secured({ key, cert }), requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
    bodyLimit: bodyLimitBytes,
    logger: false,
  });
  app.setErrorHandler((error, request, reply) => {
    const fault = faultOf(error);
    logOurs(fault, request.url, options.logger);
    return refuse(reply, fault);
  });
  app.setNotFoundHandler((request, reply) =>
    refuse(reply, new Fault('NotFound', `unknown api endpoint ${request.url}`)),
  );
  registerWebhooks(app, options);
  registerDiscovery(app);
  registerTokens(app, options, () => proxy);
  await app.ready();
  const renew = () => app.server.setSecureContext({ ...secured(options.tls), minVersion: 'TLSv1.2' });
  options.tls.onRenewal?.(renew);
  const look = async () => {
    try {
      const found = await readFrontProxy(options.reader);
      const isRenewed = found.ca !== proxy.ca;
      proxy = found;
      if (isRenewed) renew();
    } catch (error) {
      options.logger.warn({ err: toFault(error) }, 'what the front proxy is known by could not be read again');
    }
  };
  // One look after another: of two at once, the one that read what was before could be the later to finish.
  let looked = Promise.resolve();
  const looking = setInterval(() => {
    looked = looked.then(look);
  }, options.everySeconds * 1_000);
  const bound = await listenOn(app.server, options.address);
  return {
    address: formatAddress(bound),
    close: async () => {
      clearInterval(looking);
      await closeServer(app.server);
      await app.close();
    },
  };
}

/** Fastify's own errors say whose they are. */
function faultOf(error: unknown): Fault {
  const isClients = error instanceof Error && 'statusCode' in error && Number(error.statusCode) < 500;
  return toFault(error, isClients ? { otherwise: 'MalformedRequest' } : {});
}

/** What is not the client's doing is told to the log too. */
function logOurs(fault: Fault, url: string, logger: Logger): void {
  if (fault.row.http >= 500) logger.error({ err: fault, url }, 'a request failed');
}

/** As a Status, which kubectl prints; but who may not is told so in plain words, as by CDI. */
function refuse(reply: FastifyReply, fault: Fault) {
  const { detail: message, row } = fault;
  reply.code(row.http);
  if (fault.code === 'Unauthenticated') return reply.type('text/plain').send(message);
  const status = { status: 'Failure', message, reason: reasonOf(fault), code: row.http };
  return reply.send({ kind: 'Status', apiVersion: 'v1', metadata: {}, ...status });
}

function registerWebhooks(app: FastifyInstance<Server>, options: ClusterApiOptions): void {
  for (const [path, decide] of Object.entries(webhooks)) {
    app.post(path, async (request) => {
      const begun = performance.now();
      const answer = await answerReview(
        (asked) =>
          decide(asked, options).catch((error: unknown) => {
            logOurs(toFault(error), path, options.logger);
            throw error;
          }),
        request.body,
      );
      metrics.observe('longshore_admission_seconds', { path }, (performance.now() - begun) / 1_000);
      return answer;
    });
  }
}

/**
 * There is no OpenAPI page, on purpose: what kubectl finds described there and not to be patched, it takes for a custom resource, and then asks for the
 * list of all CRDs, which most users may not read. Without a page it just creates the request.
 */
function registerDiscovery(app: FastifyInstance<Server>): void {
  const resource = { name: 'uploadtokenrequests', singularName: 'uploadtokenrequest', namespaced: true };
  const named = {
    group,
    version: 'v1beta1',
    kind: 'UploadTokenRequest',
    verbs: ['create'],
    shortNames: ['utr', 'utrs'],
  };
  const versions = { name: group, versions: [{ groupVersion: version, version: 'v1beta1' }] };
  const apiGroup = { ...versions, preferredVersion: { groupVersion: version, version: 'v1beta1' } };
  app.get('/', () => ({ paths: ['/apis', `/apis/${group}`, `/apis/${version}`, '/healthz'] }));
  app.get('/healthz', (_request, reply) => reply.type('text/plain').send('OK'));
  app.get('/apis', () => ({ kind: 'APIGroupList', apiVersion: 'v1', groups: [apiGroup] }));
  app.get(`/apis/${group}`, () => ({ kind: 'APIGroup', apiVersion: 'v1', ...apiGroup }));
  app.get(`/apis/${version}`, () => ({
    ...{ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: version },
    resources: [{ ...resource, ...named }],
  }));
}

function registerTokens(app: FastifyInstance<Server>, options: ClusterApiOptions, proxy: () => FrontProxy): void {
  const { reader, client, tokens, tokenLifetimeSeconds: lifetimeSeconds } = options;
  app.post<{ Params: { namespace: string } }>(
    `/apis/${version}/namespaces/:namespace/uploadtokenrequests`,
    { onRequest: (request) => requireRight(request, request.params.namespace, client, proxy()) },
    async (request, reply) => {
      const answer = await answerUploadTokenRequest(
        { reader, tokens, lifetimeSeconds },
        request.params.namespace,
        request.body,
      );
      return reply.header('x-content-type-options', 'nosniff').send(answer);
    },
  );
}

/** As CDI: whoever may not is 401 with the reason as the body. */
async function requireRight(
  request: FastifyRequest,
  namespace: string,
  client: Pick<KubeClient, 'json'>,
  proxy: FrontProxy,
): Promise<void> {
  const user = userOf(request.raw, proxy);
  const right = { verb: 'create', group, resource: 'uploadtokenrequests', namespace };
  const { allowed, reason } = await reviewAccess(client, user, right);
  if (!allowed)
    throw new Fault('Unauthenticated', reason === '' ? `User ${user.username} may not upload there` : reason);
}
