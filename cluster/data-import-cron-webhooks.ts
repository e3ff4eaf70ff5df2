// The webhooks of DataImportCrons: CDI's rules, and who may clone what they clone again and again. Who asked is kept on the object, where nobody else can
// write it; the controller makes DataVolumes in that name.

import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { templateOf, validateDataImportCron } from '../domain/admission-data-import-cron.ts';
import { annotations } from '../domain/annotations.ts';
import { cloneAuthorization, cloneRefusal, withRequester } from '../domain/clone-authorization.ts';
import { type DataImportCron, DataImportCronSpec } from '../domain/custom-resources/data-import-cron.ts';
import { Fault } from '../domain/fault.ts';
import { userCanClone } from './access-reviews.ts';
import { type Asked, refusal, type Verdict, withAnnotationsOf } from './admission-review.ts';
import type { KubeClient } from './kube-client.ts';

const Shape = Compile(Type.Object({ spec: DataImportCronSpec }));

/** To a typed client null and absent are the same. @throws Fault MalformedRequest */
function read(object: Record<string, unknown>): DataImportCron {
  const given: unknown = JSON.parse(
    JSON.stringify(object, (_name, value: unknown) => (value === null ? undefined : value)),
  );
  if (!Shape.Check(given)) throw new Fault('MalformedRequest', 'the object is no DataImportCron');
  return given as DataImportCron; // Safe: the rest is kube-apiserver's.
}

export async function reviewDataImportCron({ isCreate, object, former }: Asked): Promise<Verdict> {
  const cron = read(object);
  if (cron.metadata.deletionTimestamp !== undefined) return { allowed: true };
  if (!isCreate && former === undefined)
    throw new Fault('MalformedRequest', 'the review of an update has no oldObject');
  const causes = validateDataImportCron(cron, isCreate || former === undefined ? undefined : read(former));
  return causes.length > 0 ? refusal(causes) : { allowed: true };
}

/** @throws Fault ServiceUnreachable, MalformedRequest */
export async function authorizeDataImportCron(
  { isCreate, object, former, user }: Asked,
  client: Pick<KubeClient, 'json'>,
): Promise<Verdict> {
  const cron = read(object);
  if (!isCreate) {
    const kept = former === undefined ? undefined : read(former).metadata.annotations?.[annotations.requester];
    return withAnnotationsOf(withRequester(cron, kept), cron);
  }
  const needed = cloneAuthorization(templateOf(cron));
  if (needed === undefined) return withAnnotationsOf(withRequester(cron, undefined), cron);
  const verdict = await userCanClone(client, user, needed);
  if (!verdict.allowed) return refusal([cloneRefusal(needed, user.username, verdict.missing)]);
  return withAnnotationsOf(withRequester(cron, user.username), cron);
}
