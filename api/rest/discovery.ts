// What the API tells about itself: groups, versions and resources, in the plain and in the aggregated form of Kubernetes' discovery.
import { groupVersions, objectVerbs, type ServedKind, servedKinds } from './served-kinds.ts';

interface Resource {
  name: string;
  singularName: string;
  namespaced: boolean;
  kind: string;
  verbs: readonly string[];
  shortNames?: readonly string[];
  categories?: readonly string[];
  group?: string;
  version?: string;
}

interface ReviewKind {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
}

/** Kinds that are only ever created, and never stored. */
const reviewKinds: readonly ReviewKind[] = [
  {
    group: 'upload.cdi.kubevirt.io',
    version: 'v1beta1',
    plural: 'uploadtokenrequests',
    kind: 'UploadTokenRequest',
    namespaced: true,
    shortNames: ['utr', 'utrs'],
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
    shortNames: [],
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    namespaced: false,
    shortNames: [],
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    plural: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    namespaced: false,
    shortNames: [],
  },
];

function ofKind(kind: ServedKind): Resource[] {
  const { plural, namespaced, kind: name } = kind.ref;
  const object: Resource = {
    name: plural,
    singularName: kind.singular,
    namespaced,
    kind: name,
    verbs: objectVerbs,
    ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
    ...(kind.categories.length === 0 ? {} : { categories: kind.categories }),
  };
  if (!kind.statusPath) return [object];
  const verbs = ['get', 'patch', 'update'];
  return [object, { name: `${plural}/status`, singularName: '', namespaced, kind: name, verbs }];
}

function ofReview({ plural, kind, namespaced, shortNames }: ReviewKind): Resource {
  const named = { name: plural, singularName: kind.toLowerCase(), namespaced, kind, verbs: ['create'] };
  return shortNames.length === 0 ? named : { ...named, shortNames };
}

/** Every group and version that has anything, core first. */
export function servedVersions(): { group: string; version: string }[] {
  const all = [...groupVersions(), ...reviewKinds.map(({ group, version }) => ({ group, version }))];
  const unique = new Map(all.map((one) => [`${one.group}/${one.version}`, one]));
  return [...unique.values()];
}

function resourcesOf(group: string, version: string): Resource[] {
  const kinds = servedKinds.filter(({ ref }) => ref.group === group && ref.version === version).flatMap(ofKind);
  const reviews = reviewKinds.filter((review) => review.group === group && review.version === version).map(ofReview);
  return [...kinds, ...reviews];
}

export function resourceList(group: string, version: string): unknown {
  const groupVersion = group === '' ? version : `${group}/${version}`;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: resourcesOf(group, version) };
}

function apiGroup({ group, version }: { group: string; version: string }) {
  const served = { groupVersion: `${group}/${version}`, version };
  return { name: group, versions: [served], preferredVersion: served };
}

export function groupList(): unknown {
  const groups = servedVersions().filter(({ group }) => group !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(apiGroup) };
}

/** @returns undefined where there is no such group */
export function groupOf(name: string): unknown {
  const found = servedVersions().find(({ group }) => group === name);
  return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(found) };
}

export function coreVersions(address: string): unknown {
  const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress: address }];
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs };
}

function aggregatedResource(resource: Resource, group: string, version: string, subresources: Resource[]): unknown {
  const responseKind = { group, version, kind: resource.kind };
  return {
    resource: resource.name,
    responseKind,
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singularName,
    verbs: resource.verbs,
    ...(resource.shortNames === undefined ? {} : { shortNames: resource.shortNames }),
    ...(resource.categories === undefined ? {} : { categories: resource.categories }),
    ...(subresources.length === 0
      ? {}
      : {
          subresources: subresources.map(({ name, verbs }) => ({
            subresource: name.split('/')[1],
            responseKind,
            verbs,
          })),
        }),
  };
}

/** @param core whether for /api, else for /apis */
export function aggregatedDiscovery(core: boolean): unknown {
  const items = servedVersions()
    .filter(({ group }) => (group === '') === core)
    .map(({ group, version }) => {
      const all = resourcesOf(group, version);
      const resources = all
        .filter(({ name }) => !name.includes('/'))
        .map((resource) => {
          const below = all.filter(({ name }) => name.startsWith(`${resource.name}/`));
          return aggregatedResource(resource, group, version, below);
        });
      const metadata = { creationTimestamp: null, ...(group === '' ? {} : { name: group }) };
      return { metadata, versions: [{ version, resources, freshness: 'Current' }] };
    });
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}
