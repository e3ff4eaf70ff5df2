// What each kind demands before it is stored: defaults, rules, and members that users may not set. Rules of DataVolumes are CDI's.
import type { KubeObject } from '../../domain/object-store.ts';
import type { Identity } from '../authorizer.ts';
import { admitClaim, admitClaimUpdate } from './admission-claim.ts';
import { admitDataImportCron, admitDataImportCronUpdate } from './admission-data-import-cron.ts';
import { admitDataVolume, admitDataVolumeUpdate } from './admission-data-volume.ts';
import {
  admitConfigMap,
  admitConfigMapUpdate,
  admitNamespace,
  admitNamespaceUpdate,
  admitSecret,
  admitSecretUpdate,
  admitStorageClass,
  admitUser,
  keepSeeded,
} from './admission-small.ts';
import type { ApiContext, WriteOptions } from './request-context.ts';
import type { ServedKind } from './served-kinds.ts';
import { withoutStated } from './stated-annotations.ts';

export interface Admission {
  create(asked: KubeObject, context: ApiContext, options: WriteOptions): Promise<KubeObject> | KubeObject;
  update(
    asked: KubeObject,
    stored: KubeObject,
    context: ApiContext,
    options: WriteOptions,
  ): Promise<KubeObject> | KubeObject;
  remove?(stored: KubeObject, context: ApiContext): Promise<void> | void;
  /** What of the configuration of an apply is its sender's to say. Default: all. */
  configuration?(asked: KubeObject, stored: KubeObject | undefined, identity: Identity): KubeObject;
}

const anything: Admission = { create: (asked) => asked, update: (asked) => asked };

const byPlural: Readonly<Record<string, Admission>> = {
  datavolumes: { create: admitDataVolume, update: admitDataVolumeUpdate, configuration: withoutStated },
  dataimportcrons: { create: admitDataImportCron, update: admitDataImportCronUpdate },
  persistentvolumeclaims: { create: admitClaim, update: admitClaimUpdate, configuration: withoutStated },
  namespaces: { create: admitNamespace, update: admitNamespaceUpdate, remove: keepSeeded },
  secrets: { create: admitSecret, update: admitSecretUpdate },
  configmaps: { create: admitConfigMap, update: admitConfigMapUpdate },
  storageclasses: { create: admitStorageClass, update: admitStorageClass },
  users: { create: admitUser, update: admitUser },
};

export function admissionOf(kind: ServedKind): Admission {
  return byPlural[kind.ref.plural] ?? anything;
}
