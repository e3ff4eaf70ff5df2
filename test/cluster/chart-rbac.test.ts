// What each process may do on a cluster: the table is what its code asks of kube-apiserver. The chart grants exactly this, and a real kube-apiserver
// allows it to the process's account, and to no other.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reviewAccess } from '../../cluster/access-reviews.ts';
import { KubeClient } from '../../cluster/kube-client.ts';
import { kubeconfigCredentials } from '../../cluster/kube-credentials.ts';
import { programsOf } from './build-programs.ts';
import { type Manifest, releaseNamespace, renderChart } from './chart.ts';
import { holds, type Process, processes, type Right, rightsOf, rightsTable, told } from './chart-rights.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';

/** What would be worst; nobody has it. */
const forbidden = [
  ...['secrets: list watch update delete', 'configmaps: list', 'pods: create update patch delete', 'pods/exec: create'],
  ...['serviceaccounts/token: create', 'nodes: update patch delete', 'nodes/proxy: get', 'namespaces: create delete'],
  ...['persistentvolumeclaims: delete patch', 'datavolumes.cdi.kubevirt.io: patch deletecollection'],
  ...['clusterroles.rbac.authorization.k8s.io: create update bind escalate', 'deployments.apps: create update patch'],
  ...['customresourcedefinitions.apiextensions.k8s.io: create update', 'daemonsets.apps: create update patch'],
  ...['validatingwebhookconfigurations.admissionregistration.k8s.io: create update delete'],
  ...['secrets named longshore-redis here: list update', 'users: impersonate'],
];

/** Whoever is authenticated has these by the role of users. */
const ofUsers = ['cdiconfigs.cdi.kubevirt.io: get list watch', 'storageprofiles.cdi.kubevirt.io: get list watch'];

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
    expect(given.sort()).toEqual(rightsOf(rightsTable[process]).map(told).sort());
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

  test.for(processes)('lets %s do what is in its table, and not what is in that of others', async (process) => {
    const own = [...rightsOf(rightsTable[process]), ...rightsOf(ofUsers)];
    const ofEverybody = processes.flatMap((each) => rightsOf(rightsTable[each]));
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
