// Where the OpenAPI pages are read. Pages are made at the first request, named by their hash, and may be kept by clients for ever. They are JSON only, on
// purpose: kubectl asks for version 3 as JSON, which validates, explains and applies. For version 2 it asks as protobuf, for patches of Kubernetes' own
// kinds, and where that cannot be had it goes by the types that it was built with. Only `explain --output=plaintext-openapiv2` needs it.
import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { Fault } from '../../domain/fault.ts';
import { identityOf, paramOf } from './api-request.ts';
import { takesJson } from './media-type.ts';
import { openApiV2, openApiV3 } from './open-api.ts';
import { groupVersions } from './served-kinds.ts';

interface PageText {
  readonly text: string;
  readonly hash: string;
}

function pageText(page: unknown): PageText {
  const text = JSON.stringify(page);
  return { text, hash: createHash('sha256').update(text).digest('hex').toUpperCase() };
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
    if (!takesJson(request.headers.accept))
      throw new Fault('NotAcceptable', 'only the following media types are accepted: application/json');
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
}
