// Discovery, the version, and health: what a client reads before it does anything.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../../domain/fault.ts';
import { identityOf, paramOf } from './api-request.ts';
import { aggregatedDiscovery, coreVersions, groupList, groupOf, resourceList, servedVersions } from './discovery.ts';
import { acceptClauses } from './media-type.ts';

const aggregatedType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** The Kubernetes whose API this is like, and who it is. */
const serverVersion = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.0+longshore',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;

function wantsAggregated(request: FastifyRequest): boolean {
  return acceptClauses(request.headers.accept).some(
    ({ type, parameters }) =>
      type === 'application/json' &&
      parameters['g'] === 'apidiscovery.k8s.io' &&
      parameters['v'] === 'v2' &&
      parameters['as'] === 'APIGroupDiscoveryList',
  );
}

function hostOf(request: FastifyRequest): string {
  return request.headers.host ?? '';
}

function registerHealth(app: FastifyInstance, isReady: () => boolean): void {
  app.get('/version', () => serverVersion);
  for (const path of ['/healthz', '/livez']) app.get(path, (_request, reply) => reply.type('text/plain').send('ok'));
  app.get('/readyz', (_request, reply) =>
    reply
      .code(isReady() ? 200 : 503)
      .type('text/plain')
      .send(isReady() ? 'ok' : 'not ready'),
  );
}

export function registerDiscovery(app: FastifyInstance, isReady: () => boolean): void {
  registerHealth(app, isReady);
  const roots = servedVersions().map(({ group, version }) =>
    group === '' ? `/api/${version}` : `/apis/${group}/${version}`,
  );
  app.get('/', (request) => {
    identityOf(request);
    return {
      paths: ['/api', '/apis', ...roots, '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'],
    };
  });
  app.get('/api', (request, reply) => {
    identityOf(request);
    if (!wantsAggregated(request)) return reply.send(coreVersions(hostOf(request)));
    return reply.header('content-type', aggregatedType).send(JSON.stringify(aggregatedDiscovery(true)));
  });
  app.get('/apis', (request, reply) => {
    identityOf(request);
    if (!wantsAggregated(request)) return reply.send(groupList());
    return reply.header('content-type', aggregatedType).send(JSON.stringify(aggregatedDiscovery(false)));
  });
  app.get('/apis/:group', (request) => {
    identityOf(request);
    const group = groupOf(paramOf(request, 'group') ?? '');
    if (group === undefined) throw new Fault('NotFound', 'the server could not find the requested resource');
    return group;
  });
  for (const { group, version } of servedVersions()) {
    app.get(group === '' ? `/api/${version}` : `/apis/${group}/${version}`, (request) => {
      identityOf(request);
      return resourceList(group, version);
    });
  }
}
