// The kinds that the API serves, one row each: names, schema, columns, and whether the kind is Kubernetes' own (then strategic merge patches work) or
// a custom one (then they do not, as in Kubernetes).
import type { TSchema } from 'typebox';
import {
  type CustomResource,
  cdiConfigResource,
  dataImportCronResource,
  dataSourceResource,
  dataVolumeResource,
  storageProfileResource,
} from '../../domain/custom-resources/custom-resources.ts';
import type { ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { hasStatusPath } from '../store/object-lifecycle.ts';
import { usersResource } from '../users.ts';
import {
  ClaimSchema,
  ConfigMapSchema,
  customSchema,
  EventSchema,
  NamespaceSchema,
  SecretSchema,
  StorageClassSchema,
  UserSchema,
} from './kind-schemas.ts';
import {
  type Column,
  claimColumns,
  configMapColumns,
  customColumns,
  eventColumns,
  namespaceColumns,
  secretColumns,
  storageClassColumns,
  userColumns,
} from './table-columns.ts';

export interface ServedKind {
  readonly ref: ResourceRef;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly custom: boolean;
  readonly statusPath: boolean;
  readonly schema: TSchema;
  readonly columns: readonly Column[];
  /** Name of the schema in OpenAPI pages. */
  readonly schemaName: string;
}

export const objectVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;

interface Row {
  shortNames?: readonly string[];
  categories?: readonly string[];
  schema: TSchema;
  columns: readonly Column[];
}

const packages: Readonly<Record<string, string>> = { '': 'io.k8s.api.core', 'storage.k8s.io': 'io.k8s.api.storage' };

function served(ref: ResourceRef, row: Row): ServedKind {
  const inKubernetes = packages[ref.group];
  const owner = inKubernetes ?? ref.group.split('.').reverse().join('.');
  return {
    ref,
    singular: ref.kind.toLowerCase(),
    shortNames: row.shortNames ?? [],
    categories: row.categories ?? [],
    custom: inKubernetes === undefined,
    statusPath: hasStatusPath(ref),
    schema: row.schema,
    columns: row.columns,
    schemaName: `${owner}.${ref.version}.${ref.kind}`,
  };
}

function servedCustom(resource: CustomResource): ServedKind {
  const columns = customColumns(resource.printerColumns);
  return served(resource.ref, { ...resource, schema: customSchema(resource), columns });
}

export const servedKinds: readonly ServedKind[] = [
  served(resources.namespaces, { shortNames: ['ns'], schema: NamespaceSchema, columns: namespaceColumns }),
  served(resources.claims, { shortNames: ['pvc'], schema: ClaimSchema, columns: claimColumns }),
  served(resources.events, { shortNames: ['ev'], schema: EventSchema, columns: eventColumns }),
  served(resources.secrets, { schema: SecretSchema, columns: secretColumns }),
  served(resources.configMaps, { shortNames: ['cm'], schema: ConfigMapSchema, columns: configMapColumns }),
  served(resources.storageClasses, { shortNames: ['sc'], schema: StorageClassSchema, columns: storageClassColumns }),
  servedCustom(dataVolumeResource),
  servedCustom(dataSourceResource),
  servedCustom(dataImportCronResource),
  servedCustom(cdiConfigResource),
  servedCustom(storageProfileResource),
  served(usersResource, { schema: UserSchema, columns: userColumns }),
];

/** Group and version pairs that have served kinds. */
export function groupVersions(): { group: string; version: string }[] {
  const seen = new Map(
    servedKinds.map(({ ref }) => [`${ref.group}/${ref.version}`, { group: ref.group, version: ref.version }]),
  );
  return [...seen.values()];
}
