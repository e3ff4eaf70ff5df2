// What the status of CDIConfig says: the settings as they hold, after the spec and what was found out. Clients read there where to upload, and by how
// much a claim must be larger than its image. The values are those of CDI's pkg/controller/config-controller.go.
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import { overheadTextOf } from './filesystem-overhead.ts';
import type { StorageClass } from './kube-shapes.ts';
import type { Provisioning } from './provisioning.ts';

/** Where clients find the upload proxy. */
export interface UploadProxyAddress {
  /** host, host:port or URL */
  readonly url: string;
  /** PEM, where it is not one of those that clients know. */
  readonly ca?: string;
}

export interface CdiConfigFacts {
  readonly storageClasses: readonly StorageClass[];
  readonly provisioning: Provisioning;
  /** undefined: not reachable from outside. */
  readonly uploadProxy: UploadProxyAddress | undefined;
}

type Status = NonNullable<CdiConfig['status']>;

/** CDI's own, for the pods that fill volumes. */
const podDefaults = {
  limits: { cpu: '750m', memory: '600M' },
  requests: { cpu: '100m', memory: '60M' },
};

/** Pure: the same spec and facts give the same status, member by member. */
export function cdiConfigStatus(config: CdiConfig, facts: CdiConfigFacts): Status {
  const { spec } = config;
  const { limits, requests, claims } = spec.podResourceRequirements ?? {};
  const secrets = spec.imagePullSecrets ?? [];
  return {
    ...uploadProxyMembers(spec, facts),
    ...(spec.importProxy === undefined ? {} : { importProxy: spec.importProxy }),
    scratchSpaceStorageClass: scratchClassOf(spec, facts),
    defaultPodResourceRequirements: {
      limits: { ...podDefaults.limits, ...limits },
      requests: { ...podDefaults.requests, ...requests },
      ...(claims === undefined ? {} : { claims }),
    },
    filesystemOverhead: overheads(config, facts),
    preallocation: spec.preallocation ?? false,
    ...(secrets.length === 0 ? {} : { imagePullSecrets: secrets }),
  };
}

function uploadProxyMembers(
  { uploadProxyURLOverride = '' }: CdiConfig['spec'],
  { uploadProxy }: CdiConfigFacts,
): Status {
  const url = uploadProxyURLOverride === '' ? uploadProxy?.url : uploadProxyURLOverride;
  return {
    ...(url === undefined ? {} : { uploadProxyURL: url }),
    ...(uploadProxy?.ca === undefined ? {} : { uploadProxyCA: uploadProxy.ca }),
  };
}

/** Empty where none is asked for, and where there is no such class. */
function scratchClassOf({ scratchSpaceStorageClass }: CdiConfig['spec'], { storageClasses }: CdiConfigFacts): string {
  return storageClasses.find(({ metadata }) => metadata.name === scratchSpaceStorageClass)?.metadata.name ?? '';
}

function overheads(
  config: CdiConfig,
  { storageClasses, provisioning }: CdiConfigFacts,
): NonNullable<Status['filesystemOverhead']> {
  const byName = storageClasses.map((storageClass) => {
    return [storageClass.metadata.name, overheadTextOf(storageClass, config, provisioning)] as const;
  });
  return { global: overheadTextOf(undefined, config, provisioning), storageClass: Object.fromEntries(byName.sort()) };
}
