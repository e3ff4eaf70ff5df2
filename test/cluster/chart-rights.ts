// The rights of the chart's processes as a table: what their code asks of kube-apiserver. The roles of the chart grant exactly this (chart-rbac.test.ts), and on
// a running cluster each of them is used (spine.test.ts).

export const processes = ['api', 'controller', 'uploadproxy', 'worker'] as const;
export type Process = (typeof processes)[number];

export interface Right {
  verb: string;
  group: string;
  /** With the subresource, as in rules. */
  resource: string;
  name?: string;
  /** Only in the namespace of the release. */
  here: boolean;
}

/** `<resource>[/<subresource>][.<group>] [named <name>] [here]: <verbs>` */
export const rightsTable: Readonly<Record<Process, readonly string[]>> = {
  api: [
    'persistentvolumeclaims: get',
    'cdiconfigs.cdi.kubevirt.io: get',
    'datasources.cdi.kubevirt.io: get',
    'storageclasses.storage.k8s.io: list',
    'storageprofiles.cdi.kubevirt.io: list',
    'volumeclonesources.cdi.kubevirt.io: get',
    'subjectaccessreviews.authorization.k8s.io: create',
    'secrets named longshore-api-pki here: list watch',
  ],
  controller: [
    'datavolumes.cdi.kubevirt.io: get list watch create update delete',
    'dataimportcrons.cdi.kubevirt.io: list watch update',
    'datasources.cdi.kubevirt.io: get list watch create update delete',
    'datavolumes/status.cdi.kubevirt.io: update',
    'datavolumes/finalizers.cdi.kubevirt.io: update',
    'persistentvolumeclaims: get list watch create update',
    'cdiconfigs.cdi.kubevirt.io: get list watch create update',
    'storageprofiles.cdi.kubevirt.io: get list watch create update delete',
    'storageprofiles/status.cdi.kubevirt.io: update',
    'cdis.cdi.kubevirt.io: list watch update',
    'volumesnapshotclasses.snapshot.storage.k8s.io: list',
    'persistentvolumes: list watch',
    'storageclasses.storage.k8s.io: list watch',
    'events: get create update',
    'secrets: get',
    'configmaps: get',
    'tokenreviews.authentication.k8s.io: create',
    'validatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-datavolume-validate: list watch update',
    'validatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-dataimportcron-validate: list watch update',
    'mutatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-datavolume-mutate: list watch update',
    'mutatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-dataimportcron-mutate: list watch update',
    'mutatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-pvc-mutate: list watch update',
    'apiservices.apiregistration.k8s.io named v1beta1.upload.cdi.kubevirt.io: list watch update',
    'ingresses.networking.k8s.io here: list watch',
    'leases.coordination.k8s.io here: create',
    'leases.coordination.k8s.io named longshore-controller here: get list watch update',
    'secrets here: create',
    'configmaps here: create',
    'secrets named longshore-pki here: list watch update',
    'secrets named longshore-api-pki here: list watch update',
    'secrets named longshore-uploadproxy-pki here: list watch update',
    'configmaps named longshore-ca here: list watch update',
  ],
  uploadproxy: ['persistentvolumeclaims: get', 'secrets named longshore-uploadproxy-pki here: list watch'],
  worker: [
    'configmaps named longshore-ca here: get list watch',
    // The rest is that of the external-provisioner and the external-resizer.
    'persistentvolumes: list watch create patch delete',
    'persistentvolumeclaims: list watch update',
    'persistentvolumeclaims/status: patch',
    'storageclasses.storage.k8s.io: list watch',
    'events: create patch',
    'csistoragecapacities.storage.k8s.io here: list watch create update delete',
    'pods here: get',
    'leases.coordination.k8s.io here: create',
    'leases.coordination.k8s.io named external-resizer-csi-longshore-dev here: get update',
  ],
};

/** What is needed only by what the tests of a running cluster do not do, and what that is. */
const seldom: Readonly<Record<Process, readonly string[]>> = {
  // A DataVolume of a DataSource; a labelled claim that leaves its size to one.
  api: ['datasources.cdi.kubevirt.io: get', 'volumeclonesources.cdi.kubevirt.io: get'],
  controller: [
    // Where the admission plugin OwnerReferencesPermissionEnforcement is on.
    'datavolumes/finalizers.cdi.kubevirt.io: update',
    // Schedules.
    'datavolumes.cdi.kubevirt.io: create delete',
    'dataimportcrons.cdi.kubevirt.io: update',
    'datasources.cdi.kubevirt.io: get create update delete',
    // A DataVolume that takes up a claim of its own.
    'datavolumes.cdi.kubevirt.io: update',
    // Another was faster, or the watch is late.
    'datavolumes.cdi.kubevirt.io: get',
    'cdiconfigs.cdi.kubevirt.io: get',
    'storageprofiles.cdi.kubevirt.io: get',
    // Classes of other provisioners: a smallest size, volumes made by hand, a class that goes.
    'storageprofiles.cdi.kubevirt.io: update delete',
    'persistentvolumes: list watch',
    // An object that only clients of CDI make.
    'cdis.cdi.kubevirt.io: update',
    // A source with a CA or credentials.
    'secrets: get',
    'configmaps: get',
    // A renewal whose answer was lost.
    'leases.coordination.k8s.io named longshore-controller here: get',
    // An event that happens again.
    'events: get update',
    // Certificates that end.
    'secrets named longshore-pki here: update',
    'secrets named longshore-api-pki here: update',
    'secrets named longshore-uploadproxy-pki here: update',
    'configmaps named longshore-ca here: update',
  ],
  uploadproxy: [],
  worker: [
    // A claim that the node has no room for, a class or a worker that goes, an event that happens again.
    ...['persistentvolumeclaims: update', 'csistoragecapacities.storage.k8s.io here: delete', 'events: patch'],
  ],
};

/** Lines of the table, one right a verb. */
export function rightsOf(lines: readonly string[]): Right[] {
  return lines.flatMap((line) => {
    const match = /^([a-z/]+)(?:\.([a-z0-9.]+))?(?: named (\S+))?( here)?: (.+)$/.exec(line);
    if (match === null) throw new Error(`${line}: cannot be read`);
    const [, resource = '', group = '', name, here, verbs = ''] = match;
    const named = name === undefined ? {} : { name };
    return verbs.split(' ').map((verb) => ({ verb, group, resource, ...named, here: here !== undefined }));
  });
}

/** One right in words. */
export function told({ verb, group, resource, name, here }: Right): string {
  const what = group === '' ? resource : `${resource}.${group}`;
  return [verb, what, ...(name === undefined ? [] : [name]), here ? 'here' : 'everywhere'].join(' ');
}

/** Whether one right is enough for what another names: it is for any name, or for any namespace. */
export function holds(held: Right, asked: Right): boolean {
  const isSame = held.verb === asked.verb && held.group === asked.group && held.resource === asked.resource;
  return isSame && (held.name ?? asked.name) === asked.name && (!held.here || asked.here);
}

/** Rights of a process that are in none of those that were asked for, but for what is needed seldom. */
export function unusedRights(process: Process, asked: readonly Right[]): string[] {
  const excused = new Set(rightsOf(seldom[process]).map(told));
  return rightsOf(rightsTable[process])
    .filter((held) => !asked.some((right) => holds(held, right)))
    .map(told)
    .filter((words) => !excused.has(words));
}
