// Where the OpenAPI pages are read. Pages are made at the first request, named by their hash, and may be kept by clients for ever. kubectl asks for version 3 as
// JSON, which validates, explains and applies, and for version 2 as protobuf; other clients want version 2 as JSON.
import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { Fault } from '../../domain/fault.ts';
import { identityOf, paramOf } from './api-request.ts';
import { acceptClauses, takesJson } from './media-type.ts';
import { openApiV2, openApiV3 } from './open-api.ts';
import { encodeOpenApiV2 } from './open-api-protobuf.ts';
import { groupVersions } from './served-kinds.ts';

interface PageText {
  readonly text: string | Buffer;
  readonly hash: string;
}

/** Accepted and sent: the server's own name has no @, which some readers of media types refuse. */
const protobuf = {
  accepted: new Set([
    'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
    'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
  ]),
  sent: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
};

function pageText(page: unknown): PageText {
  const text = Buffer.isBuffer(page) ? page : JSON.stringify(page);
  return { text, hash: createHash('sha256').update(text).digest('hex').toUpperCase() };
}

/** The first of the two that is named counts. */
function prefersProtobuf(accept: string | undefined): boolean {
  const known = acceptClauses(accept).find(({ type }) => protobuf.accepted.has(type) || takesJson(type));
  return known !== undefined && protobuf.accepted.has(known.type);
}

function pathOf({ group, version }: { group: string; version: string }): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

class Pages {
  readonly #made = new Map<string, PageText>();

  page(name: string, make: () => unknown): PageText {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const made = pageText(make());
    this.#made.set(name, made);
    return made;
  }
}

function apiVersionAt(path: string): string {
  return path.replace(/^apis?\//, '');
}

export function registerOpenApi(app: FastifyInstance): void {
  const pages = new Pages();
  const version3 = (path: string): PageText => pages.page(path, () => openApiV3(apiVersionAt(path)));
  app.get('/openapi/v2', (request, reply) => {
    identityOf(request);
    const { accept } = request.headers;
    if (prefersProtobuf(accept)) {
      const { text, hash } = pages.page('v2 protobuf', () => encodeOpenApiV2(openApiV2()));
      return reply.header('etag', `"${hash}"`).header('content-type', protobuf.sent).send(text);
    }
    if (!takesJson(accept)) {
      const types = ['application/json', ...protobuf.accepted].join(', ');
      throw new Fault('NotAcceptable', `only the following media types are accepted: ${types}`);
    }
    const { text, hash } = pages.page('v2', openApiV2);
    return reply.header('etag', `"${hash}"`).header('content-type', 'application/json').send(text);
  });
  app.get('/openapi/v3', (request) => {
    identityOf(request);
    const paths = groupVersions().map((one) => {
      const path = pathOf(one);
      return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${version3(path).hash}` }] as const;
    });
    return { paths: Object.fromEntries(paths) };
  });
  app.get('/openapi/v3/*', (request, reply) => {
    identityOf(request);
    const path = paramOf(request, '*') ?? '';
    const known = groupVersions().some((one) => pathOf(one) === path);
    if (!known) throw new Fault('NotFound', 'the server could not find the requested resource');
    const { text, hash } = version3(path);
    return reply.header('etag', `"${hash}"`).header('content-type', 'application/json').send(text);
  });
  // kubectl asks for these where no page knows a kind, before it says that there is none. Ours are all built in.
  app.get('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', (request) => {
    identityOf(request);
    const named = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinitionList' };
    return { ...named, metadata: {}, items: [] };
  });
}
