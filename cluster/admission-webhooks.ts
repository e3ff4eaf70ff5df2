// The admission webhooks of DataVolumes, on CDI's paths, with the same rules as on one machine (domain/). Validation refuses with CDI's causes; mutation finds out
// whether who asks may clone, and keeps who asked on the object, where nobody else can write it.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { adoptsClaims, validateDataVolume } from '../domain/admission.ts';
import { annotations } from '../domain/annotations.ts';
import { admissionMessage, type Cause } from '../domain/cause.ts';
import { cloneAuthorization, cloneRefusal, needsNoClone, withRequester } from '../domain/clone-authorization.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import { readDataVolume } from '../domain/data-volume-shape.ts';
import { Fault, toFault } from '../domain/fault.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { type ClusterUser, mayClone } from './access-reviews.ts';
import type { KubeClient } from './kube-client.ts';

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

interface Verdict {
  allowed: boolean;
  status?: { code: number; message: string; reason?: string; details?: { causes: object[] } };
  patch?: object[];
}

/** What a webhook decides with. */
export interface AdmissionTools {
  reader: ObjectReader;
  client: Pick<KubeClient, 'json'>;
}

interface Asked {
  isCreate: boolean;
  dataVolume: DataVolume;
  former: DataVolume | undefined;
  user: ClusterUser;
}

type Decide = (asked: Asked, tools: AdmissionTools) => Promise<Verdict>;

/** By path, as CDI's webhook configurations name them. */
export const dataVolumeWebhooks: Readonly<Record<string, Decide>> = {
  '/datavolume-validate': validate,
  '/datavolume-mutate': authorize,
};

/**
 * The AdmissionReview that answers the one that was sent. What cannot be decided is refused, never let through.
 * @throws Fault MalformedRequest where it is no AdmissionReview
 */
export async function answerReview(decide: Decide, body: unknown, tools: AdmissionTools): Promise<object> {
  if (!Review.Check(body)) throw new Fault('MalformedRequest', 'the body is no AdmissionReview');
  const { uid, operation, namespace, object, oldObject, userInfo } = body.request;
  const { patch, ...verdict } = await verdictOn(async () => {
    if (operation !== 'CREATE' && operation !== 'UPDATE') return { allowed: true };
    const { username = '', ...more } = userInfo;
    const read = readDataVolume(withNamespace(object, namespace));
    if ('causes' in read) return refusal(read.causes);
    const { dataVolume } = read;
    // Safe: it was stored under the same schema.
    const former = (oldObject ?? undefined) as DataVolume | undefined;
    return decide({ isCreate: operation === 'CREATE', dataVolume, former, user: { username, ...more } }, tools);
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

function refusal(causes: readonly Cause[]): Verdict {
  const details = { causes: causes.map(({ type, message, field }) => ({ reason: type, message, field })) };
  return { allowed: false, status: { code: 422, reason: 'Invalid', message: admissionMessage(causes), details } };
}

async function validate({ isCreate, dataVolume, former }: Asked, { reader }: AdmissionTools): Promise<Verdict> {
  const { namespace = '', name, deletionTimestamp } = dataVolume.metadata;
  if (deletionTimestamp !== undefined) return { allowed: true };
  if (!isCreate) {
    if (former === undefined) throw new Fault('MalformedRequest', 'the review of an update has no oldObject');
    const causes = validateDataVolume(dataVolume, { operation: 'update', former });
    return causes.length > 0 ? refusal(causes) : { allowed: true };
  }
  const causes = validateDataVolume(dataVolume, {
    operation: 'create',
    claim: name === '' ? undefined : await reader.get(resources.claims, { namespace, name }),
    adoptsClaims: adoptsClaims(await reader.get(resources.cdiConfigs, { name: 'config' })),
  });
  return causes.length > 0 ? refusal(causes) : { allowed: true };
}

/** Who may clone, for the annotation that says so: kept from the stored object once it is there. */
async function authorize({ dataVolume, former, user }: Asked, tools: AdmissionTools): Promise<Verdict> {
  const kept = former?.metadata.annotations?.[annotations.requester];
  const needed = cloneAuthorization(dataVolume);
  if (kept === undefined && needed !== undefined && !(await mayClone(tools.client, user, needed))) {
    if (!needsNoClone(dataVolume)) return refusal([cloneRefusal(needed, user.username)]);
    return withPatch(dataVolume, undefined);
  }
  return withPatch(dataVolume, kept ?? (needed === undefined ? undefined : user.username));
}

function withPatch(dataVolume: DataVolume, requester: string | undefined): Verdict {
  const before = dataVolume.metadata.annotations;
  const after = withRequester(dataVolume, requester).metadata.annotations;
  if (before?.[annotations.requester] === after?.[annotations.requester]) return { allowed: true };
  const path = '/metadata/annotations';
  const patch = after === undefined ? [{ op: 'remove', path }] : [{ op: 'add', path, value: after }];
  return { allowed: true, patch };
}
