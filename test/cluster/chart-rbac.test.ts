// What each process may do on a cluster: the table is what its code asks of kube-apiserver. The chart grants exactly this, and a real kube-apiserver
// allows it to the process's account, and to no other.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reviewAccess } from '../../cluster/access-reviews.ts';
import { KubeClient } from '../../cluster/kube-client.ts';
import { kubeconfigCredentials } from '../../cluster/kube-credentials.ts';
import { programsOf } from './build-programs.ts';
import { type Manifest, releaseNamespace, renderChart } from './chart.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';

const processes = ['api', 'controller', 'uploadproxy', 'worker'] as const;
type Process = (typeof processes)[number];

interface Right {
  verb: string;
  group: string;
  /** With the subresource, as in rules. */
  resource: string;
  name?: string;
  /** Only in the namespace of the release. */
  here: boolean;
}

/** `<resource>[/<subresource>][.<group>] [named <name>] [here]: <verbs>` */
const table: Readonly<Record<Process, readonly string[]>> = {
  api: [
    'persistentvolumeclaims: get',
    'cdiconfigs.cdi.kubevirt.io: get',
    'subjectaccessreviews.authorization.k8s.io: create',
    'secrets named longshore-api-pki here: list watch',
  ],
  controller: [
    'datavolumes.cdi.kubevirt.io: get list watch update',
    'datavolumes/status.cdi.kubevirt.io: update',
    'datavolumes/finalizers.cdi.kubevirt.io: update',
    'persistentvolumeclaims: get list watch create update',
    'cdiconfigs.cdi.kubevirt.io: get list watch create update',
    'storageprofiles.cdi.kubevirt.io: get list watch create update delete',
    'storageprofiles/status.cdi.kubevirt.io: update',
    'cdis.cdi.kubevirt.io: list watch',
    'volumesnapshotclasses.snapshot.storage.k8s.io: list',
    'persistentvolumes: list watch',
    'storageclasses.storage.k8s.io: list watch',
    'events: get create update',
    'secrets: get',
    'configmaps: get',
    'tokenreviews.authentication.k8s.io: create',
    'validatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-datavolume-validate: get update',
    'mutatingwebhookconfigurations.admissionregistration.k8s.io named cdi-api-datavolume-mutate: get update',
    'apiservices.apiregistration.k8s.io named v1beta1.upload.cdi.kubevirt.io: get update',
    'ingresses.networking.k8s.io here: list watch',
    'leases.coordination.k8s.io here: create',
    'leases.coordination.k8s.io named longshore-controller here: get update',
    'secrets here: create',
    'configmaps here: create',
    'secrets named longshore-pki here: update',
    'secrets named longshore-api-pki here: update',
    'secrets named longshore-uploadproxy-pki here: update',
    'configmaps named longshore-ca here: update',
  ],
  uploadproxy: ['persistentvolumeclaims: get', 'secrets named longshore-uploadproxy-pki here: list watch'],
  worker: [
    'configmaps named longshore-ca here: get',
    // The rest is the external-provisioner's.
    'persistentvolumes: list watch create patch delete',
    'persistentvolumeclaims: list watch update',
    'storageclasses.storage.k8s.io: list watch',
    'events: create patch',
    'csistoragecapacities.storage.k8s.io here: list watch create update delete',
    'pods here: get',
  ],
};

/** What would be worst; nobody has it. */
const forbidden = [
  ...['secrets: list watch update delete', 'configmaps: list', 'pods: create update patch delete', 'pods/exec: create'],
  ...['serviceaccounts/token: create', 'nodes: update patch delete', 'nodes/proxy: get', 'namespaces: create delete'],
  ...['persistentvolumeclaims: delete patch', 'datavolumes.cdi.kubevirt.io: create delete'],
  ...['clusterroles.rbac.authorization.k8s.io: create update bind escalate', 'deployments.apps: create update patch'],
  ...['customresourcedefinitions.apiextensions.k8s.io: create update', 'daemonsets.apps: create update patch'],
  ...['validatingwebhookconfigurations.admissionregistration.k8s.io: create update delete'],
  ...['secrets named longshore-redis here: list update', 'users: impersonate'],
];

/** Whoever is authenticated has these by the role of users. */
const ofUsers = ['cdiconfigs.cdi.kubevirt.io: get list watch', 'storageprofiles.cdi.kubevirt.io: get list watch'];

function rightsOf(lines: readonly string[]): Right[] {
  return lines.flatMap((line) => {
    const match = /^([a-z/]+)(?:\.([a-z0-9.]+))?(?: named (\S+))?( here)?: (.+)$/.exec(line);
    if (match === null) throw new Error(`${line}: cannot be read`);
    const [, resource = '', group = '', name, here, verbs = ''] = match;
    const named = name === undefined ? {} : { name };
    return verbs.split(' ').map((verb) => ({ verb, group, resource, ...named, here: here !== undefined }));
  });
}

function told({ verb, group, resource, name, here }: Right): string {
  const what = group === '' ? resource : `${resource}.${group}`;
  return [verb, what, ...(name === undefined ? [] : [name]), here ? 'here' : 'everywhere'].join(' ');
}

interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

function granted(manifests: readonly Manifest[], process: Process): Right[] {
  return manifests
    .filter(({ kind, metadata }) => /^(Cluster)?Role$/.test(kind) && metadata.name === `longshore-${process}`)
    .flatMap(({ kind, rules }) =>
      // Safe: the shape of a role.
      (rules as Rule[]).flatMap(({ apiGroups, resources, resourceNames = [undefined], verbs }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) =>
            resourceNames.flatMap((name) =>
              verbs.map((verb) => {
                const named = name === undefined ? {} : { name };
                return { verb, group, resource, ...named, here: kind === 'Role' };
              }),
            ),
          ),
        ),
      ),
    );
}

describe('the roles of the processes', () => {
  test.for(processes)('of %s grant what the table says', async (process) => {
    const given = granted(await renderChart(), process).map(told);
    expect(given.sort()).toEqual(rightsOf(table[process]).map(told).sort());
    expect(new Set(given).size).toBe(given.length);
  });
});

describe('kube-apiserver', () => {
  let cluster: ControlPlane;
  let client: KubeClient;

  beforeAll(async () => {
    const say = (line: string) => process.stderr.write(`${line}\n`);
    cluster = await startControlPlane({ components: ['etcd', 'apiserver'], say });
    client = new KubeClient(await kubeconfigCredentials(cluster.kubeconfig));
    const kubectl = new Kubectl(join(await programsOf('kubernetes', say), 'kubectl'), cluster.kubeconfig);
    const rights = (await renderChart()).filter(({ apiVersion, kind }) => {
      return apiVersion.startsWith('rbac.authorization.k8s.io/') || kind === 'ServiceAccount';
    });
    await kubectl.out(['create', 'namespace', releaseNamespace]);
    await kubectl.out(['create', '-f', '-'], rights.map((each) => JSON.stringify(each)).join('\n'));
  });

  afterAll(async () => {
    await client?.close();
    await cluster?.stop();
  });

  async function isAllowed(process: Process, { verb, group, resource, name, here }: Right): Promise<boolean> {
    const [plural = '', subresource] = resource.split('/');
    const username = `system:serviceaccount:${releaseNamespace}:longshore-${process}`;
    const groups = ['system:authenticated', 'system:serviceaccounts', `system:serviceaccounts:${releaseNamespace}`];
    const place = { namespace: here ? releaseNamespace : 'images' };
    const part = subresource === undefined ? {} : { subresource };
    const one = name === undefined ? {} : { name };
    const right = { verb, group, resource: plural, ...place, ...part, ...one };
    return (await reviewAccess(client, { username, groups }, right)).allowed;
  }

  /** Whether a right of the table holds another: it is for any name, or for any namespace. */
  function holds(held: Right, asked: Right): boolean {
    const isSame = held.verb === asked.verb && held.group === asked.group && held.resource === asked.resource;
    return isSame && (held.name ?? asked.name) === asked.name && (!held.here || asked.here);
  }

  test.for(processes)('lets %s do what is in its table, and not what is in that of others', async (process) => {
    const own = [...rightsOf(table[process]), ...rightsOf(ofUsers)];
    const ofEverybody = processes.flatMap((each) => rightsOf(table[each]));
    const asked = new Map([...ofEverybody, ...rightsOf(forbidden)].map((right) => [told(right), right]));
    const may: string[] = [];
    for (const [words, right] of asked) if (await isAllowed(process, right)) may.push(words);
    const should = [...asked].filter(([, right]) => own.some((held) => holds(held, right))).map(([words]) => words);
    expect(may.sort()).toEqual(should.sort());
  });

  test.for(processes)('lets %s do nothing of what would be worst', async (process) => {
    for (const right of rightsOf(forbidden)) {
      expect([told(right), await isAllowed(process, right)]).toEqual([told(right), false]);
    }
  });
});
