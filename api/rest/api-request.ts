// What routes read from a request: who sends it, whether it is allowed, and the usual query parameters of Kubernetes.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../../domain/fault.ts';
import type { ResourceRef } from '../../domain/object-store.ts';
import { type Attributes, type Identity, isAllowed, refusalOf } from '../authorizer.ts';
import { badRequest, type Subject } from './kube-status.ts';
import type { FieldValidation, WriteOptions } from './request-context.ts';

const identities = new WeakMap<object, Identity>();
const subjects = new WeakMap<object, Subject>();

export function setIdentity(request: FastifyRequest, identity: Identity): void {
  identities.set(request, identity);
}

/** @throws Fault Unauthenticated */
export function identityOf(request: FastifyRequest): Identity {
  const identity = identities.get(request);
  if (identity === undefined) throw new Fault('Unauthenticated', 'Unauthorized');
  return identity;
}

export function subjectOf(request: FastifyRequest): Subject | undefined {
  return subjects.get(request);
}

export interface Target {
  readonly resource: ResourceRef;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** Also notes what the request is about, for the details of errors. @throws Fault Forbidden as kube-apiserver words it */
export function requireAllowed(request: FastifyRequest, verb: string, target: Target): void {
  const { resource, subresource, namespace, name } = target;
  subjects.set(request, { resource, ...(name === undefined ? {} : { name }) });
  const asked: Attributes = {
    verb,
    group: resource.group,
    resource: resource.plural,
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
  const identity = identityOf(request);
  if (isAllowed(identity, asked)) return;
  const group = resource.group === '' ? '' : `.${resource.group}`;
  const what = name === undefined ? `${resource.plural}${group}` : `${resource.plural}${group} "${name}"`;
  throw new Fault('Forbidden', `${what} is forbidden: ${refusalOf(identity, asked)}`);
}

/** A route's way to ask `requireAllowed` before the body is read: who may not do it cannot make us parse what they send. */
export function allowedBy(require: (request: FastifyRequest) => void) {
  return {
    onRequest: async (request: FastifyRequest): Promise<void> => require(request),
  };
}

/** Aborts when the client has gone before it was answered. */
export function hangUpOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const onClose = (): void => {
    if (!raw.writableFinished) gone.abort(new Fault('Cancelled', 'the client waits no longer'));
  };
  if (raw.destroyed) onClose();
  else raw.once('close', onClose);
  return gone.signal;
}

export type Query = Readonly<Record<string, string | undefined>>;

/** The first value of each query parameter. */
export function queryOf(request: FastifyRequest): Query {
  const given = request.query;
  if (typeof given !== 'object' || given === null) return {};
  const entries = Object.entries(given).map(([name, value]: [string, unknown]) => {
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return [name, typeof first === 'string' ? first : undefined];
  });
  return Object.fromEntries(entries);
}

export function paramOf(request: FastifyRequest, name: string): string | undefined {
  const { params } = request;
  if (typeof params !== 'object' || params === null) return undefined;
  const value: unknown = Object.getOwnPropertyDescriptor(params, name)?.value;
  return typeof value === 'string' ? value : undefined;
}

export function isTrue(text: string | undefined): boolean {
  return text === 'true' || text === '1';
}

const validations: readonly string[] = ['Strict', 'Warn', 'Ignore'];

function isFieldValidation(text: string): text is FieldValidation {
  return validations.includes(text);
}

/** kubectl's default is Warn; a client that says nothing gets what Kubernetes gives it: Warn as well. */
function fieldValidationOf(text = 'Warn'): FieldValidation {
  if (isFieldValidation(text)) return text;
  throw badRequest(`fieldValidation: Unsupported value: "${text}": supported values: "Ignore", "Strict", "Warn"`);
}

/** @throws Fault MalformedRequest */
export function writeOptionsOf(request: FastifyRequest): WriteOptions {
  const query = queryOf(request);
  const { dryRun, fieldValidation, fieldManager = '' } = query;
  if (dryRun !== undefined && dryRun !== '' && dryRun !== 'All') {
    throw badRequest(`dryRun: Unsupported value: "${dryRun}": supported values: "All"`);
  }
  const isApply = request.headers['content-type']?.startsWith('application/apply-patch') === true;
  const agent = (request.headers['user-agent'] ?? '').split('/')[0] || 'unknown';
  return {
    identity: identityOf(request),
    dryRun: dryRun === 'All',
    fieldValidation: fieldValidationOf(fieldValidation),
    fieldManager: fieldManager === '' && !isApply ? agent : fieldManager,
    force: isTrue(query['force']),
    warnings: [],
  };
}

/** Tells warnings as RFC 7234 has them, which kubectl prints. */
export function tellWarnings(reply: FastifyReply, options: WriteOptions): void {
  const lines = options.warnings.map((warning) => `299 - "${warning.replaceAll(/["\\]/g, '\\$&')}"`);
  if (lines.length > 0) void reply.header('warning', lines);
}
