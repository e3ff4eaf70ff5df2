// Get, list, watch, create, update, patch and delete of every served kind, on Kubernetes' paths.
import { isDeepStrictEqual } from 'node:util';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../../domain/fault.ts';
import type { KubeObject, ListOptions, ObjectKey } from '../../domain/object-store.ts';
import { parseFieldSelector } from '../store/selectors.ts';
import {
  allowedBy,
  identityOf,
  isTrue,
  paramOf,
  queryOf,
  requireAllowed,
  tellWarnings,
  writeOptionsOf,
} from './api-request.ts';
import { authenticate } from './authentication.ts';
import { readDeleteOptions } from './delete-options.ts';
import { selectorByFields } from './field-labels.ts';
import { deletedStatus } from './kube-status.ts';
import { pageOf } from './list-page.ts';
import { acceptedType } from './media-type.ts';
import { ObjectService, type Part } from './object-service.ts';
import { patchFormOf } from './patch.ts';
import { entryText, includeOf, listText, objectText, type Wanted } from './representation.ts';
import type { ApiContext } from './request-context.ts';
import { type ServedKind, servedKinds } from './served-kinds.ts';
import { WatchStream } from './watch-stream.ts';

function wantedOf(request: FastifyRequest): Wanted {
  return { accepted: acceptedType(request.headers.accept), include: includeOf(queryOf(request)['includeObject']) };
}

function sendText(reply: FastifyReply, text: string, code = 200): FastifyReply {
  return reply.code(code).header('content-type', 'application/json').send(text);
}

function keyOf(request: FastifyRequest): ObjectKey {
  const namespace = paramOf(request, 'namespace');
  return { name: paramOf(request, 'name') ?? '', ...(namespace === undefined ? {} : { namespace }) };
}

/** Name that a selector pins, so that who may get one object may also watch it. */
function pinnedName(options: ListOptions): string | undefined {
  if (options.fieldSelector === undefined) return undefined;
  const pin = parseFieldSelector(options.fieldSelector).find(
    ({ path, equal }) => equal && path.join('.') === 'metadata.name',
  );
  return pin?.value;
}

class KindRoutes {
  readonly #context: ApiContext;
  readonly #service: ObjectService;
  readonly #kind: ServedKind;

  constructor(context: ApiContext, kind: ServedKind) {
    this.#context = context;
    this.#service = new ObjectService(context);
    this.#kind = kind;
  }

  get(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const key = keyOf(request);
    const { ref } = this.#kind;
    requireAllowed(request, 'get', { resource: ref, ...key });
    const entry = this.#context.store.entry(ref, key);
    if (entry === undefined) {
      throw new Fault('NotFound', `${ref.plural}${ref.group === '' ? '' : `.${ref.group}`} "${key.name}" not found`);
    }
    return sendText(reply, entryText(this.#kind, entry, wantedOf(request)));
  }

  async listOrWatch(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const query = queryOf(request);
    const namespace = paramOf(request, 'namespace');
    const options = this.#selected(query, namespace);
    const watches = isTrue(query['watch']);
    const name = pinnedName(options);
    const target = { resource: this.#kind.ref, ...(namespace === undefined ? {} : { namespace }) };
    requireAllowed(request, watches ? 'watch' : 'list', name === undefined ? target : { ...target, name });
    const entries = this.#context.store.entries(this.#kind.ref, options);
    if (watches) {
      const { store, users } = this.#context;
      const before = identityOf(request);
      // A user that was removed, or whose role changed, comes back with another request or not at all.
      const mayStill = (): boolean => isDeepStrictEqual(authenticate(request.raw, users), before);
      await new WatchStream({ store, kind: this.#kind, wanted: wantedOf(request), mayStill }).run(
        reply,
        options,
        query,
      );
      return undefined;
    }
    const page = pageOf(entries, query['limit'], query['continue']);
    const metadata = {
      resourceVersion: this.#context.store.version,
      ...(page.continue === undefined ? {} : { continue: page.continue }),
      ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
    };
    return sendText(reply, listText(this.#kind, page.entries, metadata, wantedOf(request)));
  }

  async create(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const namespace = paramOf(request, 'namespace');
    const options = writeOptionsOf(request);
    const made = await this.#service.create(this.#kind, namespace, request.body, options);
    tellWarnings(reply, options);
    return sendText(reply, objectText(this.#kind, made, wantedOf(request)), 201);
  }

  async update(part: Part, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const key = keyOf(request);
    const options = writeOptionsOf(request);
    const updated = await this.#service.update(this.#kind, key, part, request.body, options);
    tellWarnings(reply, options);
    return sendText(reply, objectText(this.#kind, updated, wantedOf(request)));
  }

  async patch(part: Part, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const key = keyOf(request);
    const form = patchFormOf(this.#kind, request.headers['content-type']);
    const existed = this.#context.store.entry(this.#kind.ref, key) !== undefined;
    const options = writeOptionsOf(request);
    const patched = await this.#service.patch(this.#kind, key, part, { form, body: request.body }, options);
    tellWarnings(reply, options);
    return sendText(reply, objectText(this.#kind, patched, wantedOf(request)), existed ? 200 : 201);
  }

  async delete(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const key = keyOf(request);
    const wish = readDeleteOptions(request.body, queryOf(request));
    const { object, gone } = await this.#service.delete(this.#kind, key, wish);
    if (!gone) return sendText(reply, objectText(this.#kind, object, wantedOf(request)));
    return reply.send(deletedStatus(this.#kind.ref, key.name, object.metadata.uid ?? ''));
  }

  async deleteAll(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const namespace = paramOf(request, 'namespace');
    const wish = readDeleteOptions(request.body, queryOf(request));
    const entries = this.#context.store.entries(this.#kind.ref, this.#selected(queryOf(request), namespace));
    const deleted: KubeObject[] = [];
    for (const { name, namespace: within } of entries) {
      const { object } = await this.#service.delete(this.#kind, { name, namespace: within }, wish);
      deleted.push(object);
    }
    const { kind, version, group } = this.#kind.ref;
    const metadata = { resourceVersion: this.#context.store.version };
    return reply.send({
      kind: `${kind}List`,
      apiVersion: group === '' ? version : `${group}/${version}`,
      metadata,
      items: deleted,
    });
  }

  /** A selector that cannot be read is told before anything else. @throws Fault MalformedRequest */
  #selected({ labelSelector, fieldSelector }: ReturnType<typeof queryOf>, namespace: string | undefined): ListOptions {
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector ? { labelSelector } : {}),
      ...(fieldSelector ? { fieldSelector: selectorByFields(this.#kind, fieldSelector) } : {}),
    };
  }

  /** For routes of the collection: no single object is named. */
  mayOnAll(verb: string) {
    return allowedBy((request) => {
      const namespace = paramOf(request, 'namespace');
      requireAllowed(request, verb, { resource: this.#kind.ref, ...(namespace === undefined ? {} : { namespace }) });
    });
  }

  mayOnOne(verb: string, part: Part) {
    return allowedBy((request) => this.#requireWrite(verb, part, request));
  }

  /** An apply of what is not there creates it. */
  mayPatch(part: Part) {
    return allowedBy((request) => {
      this.#requireWrite('patch', part, request);
      const applies = patchFormOf(this.#kind, request.headers['content-type']) === 'apply';
      const exists = this.#context.store.entry(this.#kind.ref, keyOf(request)) !== undefined;
      if (applies && !exists && part === 'object') this.#requireWrite('create', part, request);
    });
  }

  #requireWrite(verb: string, part: Part, request: FastifyRequest): void {
    const subresource = part === 'status' ? { subresource: 'status' } : {};
    requireAllowed(request, verb, { resource: this.#kind.ref, ...subresource, ...keyOf(request) });
  }
}

function registerKind(app: FastifyInstance, context: ApiContext, kind: ServedKind): void {
  const { group, version, plural, namespaced } = kind.ref;
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const collection = namespaced ? `${base}/namespaces/:namespace/${plural}` : `${base}/${plural}`;
  const routes = new KindRoutes(context, kind);
  if (namespaced) app.get(`${base}/${plural}`, (request, reply) => routes.listOrWatch(request, reply));
  app.get(collection, (request, reply) => routes.listOrWatch(request, reply));
  app.post(collection, routes.mayOnAll('create'), (request, reply) => routes.create(request, reply));
  app.delete(collection, routes.mayOnAll('deletecollection'), (request, reply) => routes.deleteAll(request, reply));
  app.get(`${collection}/:name`, (request, reply) => routes.get(request, reply));
  app.put(`${collection}/:name`, routes.mayOnOne('update', 'object'), (request, reply) =>
    routes.update('object', request, reply),
  );
  app.patch(`${collection}/:name`, routes.mayPatch('object'), (request, reply) =>
    routes.patch('object', request, reply),
  );
  app.delete(`${collection}/:name`, routes.mayOnOne('delete', 'object'), (request, reply) =>
    routes.delete(request, reply),
  );
  if (!kind.statusPath) return;
  app.get(`${collection}/:name/status`, (request, reply) => routes.get(request, reply));
  app.put(`${collection}/:name/status`, routes.mayOnOne('update', 'status'), (request, reply) =>
    routes.update('status', request, reply),
  );
  app.patch(`${collection}/:name/status`, routes.mayPatch('status'), (request, reply) =>
    routes.patch('status', request, reply),
  );
}

export function registerObjects(app: FastifyInstance, context: ApiContext): void {
  for (const kind of servedKinds) registerKind(app, context, kind);
}
