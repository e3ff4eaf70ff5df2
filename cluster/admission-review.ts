// The AdmissionReview that kube-apiserver sends to a webhook, and the one that answers it.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { admissionMessage, type Cause } from '../domain/cause.ts';
import { Fault, toFault } from '../domain/fault.ts';
import type { KubeObject } from '../domain/object-store.ts';
import type { ClusterUser } from './access-reviews.ts';

const Review = Compile(
  Type.Object({
    apiVersion: Type.String(),
    kind: Type.Literal('AdmissionReview'),
    request: Type.Object({
      uid: Type.String(),
      operation: Type.String(),
      namespace: Type.Optional(Type.String()),
      userInfo: Type.Object({
        username: Type.Optional(Type.String()),
        uid: Type.Optional(Type.String()),
        groups: Type.Optional(Type.Array(Type.String())),
        extra: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String()))),
      }),
      object: Type.Optional(Type.Union([Type.Null(), Type.Record(Type.String(), Type.Unknown())])),
      oldObject: Type.Optional(Type.Union([Type.Null(), Type.Record(Type.String(), Type.Unknown())])),
    }),
  }),
);

export interface Verdict {
  allowed: boolean;
  status?: { code: number; message: string; reason?: string; details?: { causes: object[] } };
  /** RFC 6902 */
  patch?: object[];
}

/** What is asked: whether this may be created, or become so. */
export interface Asked {
  isCreate: boolean;
  /** As it was sent. */
  object: Record<string, unknown>;
  former: Record<string, unknown> | undefined;
  user: ClusterUser;
}

/**
 * The AdmissionReview that answers the one that was sent. What cannot be decided is refused, never let through.
 * @throws Fault MalformedRequest where it is no AdmissionReview
 */
export async function answerReview(decide: (asked: Asked) => Promise<Verdict>, body: unknown): Promise<object> {
  if (!Review.Check(body)) throw new Fault('MalformedRequest', 'the body is no AdmissionReview');
  const { uid, operation, namespace, object, oldObject, userInfo } = body.request;
  const { patch, ...verdict } = await verdictOn(async () => {
    if (operation !== 'CREATE' && operation !== 'UPDATE') return { allowed: true };
    const { username = '', ...more } = userInfo;
    const asked = { isCreate: operation === 'CREATE', object: withNamespace(object, namespace) };
    return decide({ ...asked, former: oldObject ?? undefined, user: { username, ...more } });
  });
  const changes = patch === undefined ? {} : { patchType: 'JSONPatch', patch: encoded(patch) };
  return { apiVersion: body.apiVersion, kind: 'AdmissionReview', response: { uid, ...verdict, ...changes } };
}

async function verdictOn(decide: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await decide();
  } catch (error) {
    const fault = toFault(error);
    // As CDI: what could not be looked up is 400.
    return { allowed: false, status: { code: 400, message: `${fault.row.sentence} ${fault.detail}` } };
  }
}

function encoded(patch: object[]): string {
  return Buffer.from(JSON.stringify(patch), 'utf8').toString('base64');
}

/** An object that is created has no namespace of its own yet in some requests. */
function withNamespace(object: Record<string, unknown> | null | undefined, namespace: string | undefined) {
  const given = object?.['metadata'];
  const metadata = typeof given === 'object' ? given : {};
  return { ...object, metadata: { ...(namespace === undefined ? {} : { namespace }), ...metadata } };
}

/** As CDI refuses. */
export function refusal(causes: readonly Cause[]): Verdict {
  const details = { causes: causes.map(({ type, message, field }) => ({ reason: type, message, field })) };
  return { allowed: false, status: { code: 422, reason: 'Invalid', message: admissionMessage(causes), details } };
}

/** Lets it pass with the annotations of `after`. */
export function withAnnotationsOf(after: KubeObject, before: KubeObject): Verdict {
  if (after === before) return { allowed: true };
  const path = '/metadata/annotations';
  const { annotations: value } = after.metadata;
  return { allowed: true, patch: value === undefined ? [{ op: 'remove', path }] : [{ op: 'add', path, value }] };
}
