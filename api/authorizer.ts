// Who may do what. The three roles are Kubernetes' own view, edit and admin with what CDI aggregates into them, for the user's namespaces or for all;
// a rule allows, nothing denies.
export type Role = 'admin' | 'edit' | 'view';

export interface Identity {
  readonly name: string;
  readonly groups: readonly string[];
  readonly uid?: string;
  /** undefined: only what everybody may. */
  readonly role?: Role | 'everything' | 'claimReader';
  /** Empty: all. */
  readonly namespaces: readonly string[];
}

export interface Rule {
  readonly verbs: readonly string[];
  readonly groups: readonly string[];
  readonly resources: readonly string[];
}

export interface Attributes {
  verb: string;
  group: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
}

const read = ['get', 'list', 'watch'];
const write = ['create', 'update', 'patch', 'delete', 'deletecollection'];

const everybody: readonly Rule[] = [
  {
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
  { verbs: ['create'], groups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
  { verbs: read, groups: ['cdi.kubevirt.io'], resources: ['cdiconfigs', 'storageprofiles'] },
  { verbs: read, groups: ['storage.k8s.io'], resources: ['storageclasses'] },
];

const view: readonly Rule[] = [
  {
    verbs: read,
    groups: [''],
    resources: ['persistentvolumeclaims', 'persistentvolumeclaims/status', 'events', 'configmaps'],
  },
  { verbs: read, groups: [''], resources: ['namespaces', 'pods'] },
  {
    verbs: read,
    groups: ['cdi.kubevirt.io'],
    resources: ['datavolumes', 'datavolumes/status', 'datasources', 'dataimportcrons'],
  },
  { verbs: ['get'], groups: ['longshore.dev'], resources: ['datavolumes/digest'] },
];

const edit: readonly Rule[] = [
  ...view,
  { verbs: read, groups: [''], resources: ['secrets'] },
  { verbs: write, groups: [''], resources: ['persistentvolumeclaims', 'configmaps', 'secrets'] },
  { verbs: write, groups: ['cdi.kubevirt.io'], resources: ['datavolumes', 'datasources', 'dataimportcrons'] },
  { verbs: ['create'], groups: ['cdi.kubevirt.io'], resources: ['datavolumes/source'] },
  { verbs: ['create'], groups: [''], resources: ['pods'] },
  { verbs: ['create'], groups: ['upload.cdi.kubevirt.io'], resources: ['uploadtokenrequests'] },
];

const everything: readonly Rule[] = [{ verbs: ['*'], groups: ['*'], resources: ['*'] }];

const claimReader: readonly Rule[] = [
  { verbs: read, groups: [''], resources: ['persistentvolumeclaims'] },
  { verbs: read, groups: ['cdi.kubevirt.io'], resources: ['datavolumes'] },
];

/** Rules that hold in the identity's namespaces. */
function roleRules(identity: Identity): readonly Rule[] {
  switch (identity.role) {
    case 'everything':
      return everything;
    case 'claimReader':
      return claimReader;
    case 'admin':
      return identity.namespaces.length === 0 ? everything : edit;
    case 'edit':
      return edit;
    case 'view':
      return view;
    default:
      return [];
  }
}

function reaches(identity: Identity, namespace: string | undefined): boolean {
  if (identity.namespaces.length === 0) return true;
  return namespace !== undefined && identity.namespaces.includes(namespace);
}

/** Rules that hold for the identity in one namespace. */
export function rulesFor(identity: Identity, namespace: string): readonly Rule[] {
  return reaches(identity, namespace) ? [...everybody, ...roleRules(identity)] : everybody;
}

function allows(rule: Rule, asked: Attributes): boolean {
  const resource = asked.subresource ? `${asked.resource}/${asked.subresource}` : asked.resource;
  return (
    (rule.verbs.includes('*') || rule.verbs.includes(asked.verb)) &&
    (rule.groups.includes('*') || rule.groups.includes(asked.group)) &&
    (rule.resources.includes('*') || rule.resources.includes(resource))
  );
}

export function isAllowed(identity: Identity, asked: Attributes): boolean {
  if (everybody.some((rule) => allows(rule, asked))) return true;
  // A namespace object is in itself, as Kubernetes has it.
  const isNamespace = asked.group === '' && asked.resource === 'namespaces';
  const namespace = isNamespace ? asked.name || asked.namespace : asked.namespace;
  return reaches(identity, namespace || undefined) && roleRules(identity).some((rule) => allows(rule, asked));
}

/** As kube-apiserver words it, behind `… is forbidden: `. */
export function refusalOf(identity: Identity, asked: Attributes): string {
  const resource = asked.subresource ? `${asked.resource}/${asked.subresource}` : asked.resource;
  const where = asked.namespace ? `in the namespace "${asked.namespace}"` : 'at the cluster scope';
  return `User "${identity.name}" cannot ${asked.verb} resource "${resource}" in API group "${asked.group}" ${where}`;
}
