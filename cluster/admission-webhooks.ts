// The admission webhooks of a service on a cluster, on CDI's paths, with the same rules as on one machine (domain/). Validation refuses DataVolumes with CDI's
// causes; mutation finds out whether who asks may clone, and keeps who asked on the object, where nobody else can write it. Claims that ask for it by a
// label are completed from the profile of their class.
import { adoptsClaims, validateDataVolume } from '../domain/admission.ts';
import { annotations } from '../domain/annotations.ts';
import {
  cloneAuthorization,
  cloneRefusal,
  needsNoClone,
  withCloneSource,
  withRequester,
} from '../domain/clone-authorization.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import { readDataVolume } from '../domain/data-volume-shape.ts';
import { Fault } from '../domain/fault.ts';
import { formatNamedSource, lookUpSourceRef, type Place, withSource } from '../domain/named-source.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';
import { type ClusterUser, userCanClone } from './access-reviews.ts';
import { type Asked, refusal, type Verdict, withAnnotationsOf } from './admission-review.ts';
import { completeAsked } from './claim-webhook.ts';
import { authorizeDataImportCron, reviewDataImportCron } from './data-import-cron-webhooks.ts';
import type { KubeClient } from './kube-client.ts';

/** What a webhook decides with. */
export interface AdmissionTools {
  reader: Pick<ObjectStore, 'get' | 'list'>;
  client: Pick<KubeClient, 'json'>;
  provisioning: Provisioning;
  /** The account of the controller: what it makes for a DataImportCron was authorised when that was made, and says so itself. */
  controllerUser?: string;
}

interface AskedDataVolume {
  isCreate: boolean;
  dataVolume: DataVolume;
  former: DataVolume | undefined;
  user: ClusterUser;
}

type Decide = (asked: Asked, tools: AdmissionTools) => Promise<Verdict>;

/** By path, as CDI's webhook configurations name them. */
export const webhooks: Readonly<Record<string, Decide>> = {
  '/datavolume-validate': ofDataVolume(validate),
  '/datavolume-mutate': ofDataVolume(authorize),
  '/dataimportcron-validate': reviewDataImportCron,
  '/dataimportcron-mutate': (asked, { client }) => authorizeDataImportCron(asked, client),
  '/pvc-mutate': (asked, { reader, provisioning }) => completeAsked(asked, reader, provisioning),
};

function ofDataVolume(decide: (asked: AskedDataVolume, tools: AdmissionTools) => Promise<Verdict>): Decide {
  return async ({ isCreate, object, former, user }, tools) => {
    const read = readDataVolume(object);
    if ('causes' in read) return refusal(read.causes);
    // Safe: it was stored under the same schema.
    return decide({ isCreate, dataVolume: read.dataVolume, former: former as DataVolume | undefined, user }, tools);
  };
}

async function validate(
  { isCreate, dataVolume, former }: AskedDataVolume,
  { reader }: AdmissionTools,
): Promise<Verdict> {
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

/** Who may clone and what, for the annotations that say so: kept from the stored object once they are there. */
async function authorize(
  { isCreate, dataVolume, former, user }: AskedDataVolume,
  tools: AdmissionTools,
): Promise<Verdict> {
  if (isCreate && user.username === tools.controllerUser) return { allowed: true };
  const { [annotations.requester]: kept, [annotations.cloneSource]: source } = former?.metadata.annotations ?? {};
  const find = (place: Place) => tools.reader.get(resources.dataSources, place);
  const named = isCreate ? await lookUpSourceRef(dataVolume, find) : undefined;
  if (named !== undefined && 'causes' in named) return refusal(named.causes);
  const needed = cloneAuthorization(named === undefined ? dataVolume : withSource(dataVolume, named.source));
  const told = named === undefined ? source : formatNamedSource(named.source);
  if (kept === undefined && needed !== undefined) {
    const verdict = await userCanClone(tools.client, user, needed);
    if (!verdict.allowed && !needsNoClone(dataVolume)) {
      return refusal([cloneRefusal(needed, user.username, verdict.missing)]);
    }
    if (!verdict.allowed) return withPatch(dataVolume, { source: told });
  }
  return withPatch(dataVolume, { requester: kept ?? (needed === undefined ? undefined : user.username), source: told });
}

function withPatch(
  dataVolume: DataVolume,
  { requester, source }: { requester?: string | undefined; source: string | undefined },
): Verdict {
  return withAnnotationsOf(withCloneSource(withRequester(dataVolume, requester), source), dataVolume);
}
