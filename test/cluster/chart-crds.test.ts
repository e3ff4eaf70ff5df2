// The part of the chart that brings the kinds and the roles of their users, on a real kube-apiserver: CRDs are upgraded, rolled back, and kept; another's
// are left alone; the roles allow what they should and no more. No node is needed.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { customResources } from '../../domain/custom-resources/custom-resources.ts';
import { type CustomResourceDefinition, customResourceDefinition } from '../../scripts/custom-resource-definition.ts';
import { programsOf } from './build-programs.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';
import { type Answer, answerOf } from './run-program.ts';
import { until } from './until.ts';

const chart = join(import.meta.dirname, '../../charts/longshore');
const dataVolumes = 'datavolumes.cdi.kubevirt.io';
const crdsTemplate = 'templates/custom-resource-definitions.yaml';
const usersTemplate = 'templates/rbac-users.yaml';

let cluster: ControlPlane;
let kubectl: Kubectl;
let helmProgram: string;
let directory: string;

function helm(...args: string[]): Promise<Answer> {
  return answerOf(helmProgram, ['--kubeconfig', cluster.kubeconfig, ...args]);
}

async function helmSucceeds(...args: string[]): Promise<string> {
  const { code, out, err } = await helm(...args);
  expect([code, err]).toEqual([0, '']);
  return out;
}

async function crdNames(): Promise<string[]> {
  return (await kubectl.out(['get', 'crd', '-o', 'name'])).split('\n').filter((line) => line !== '');
}

/** What the code makes of its schemas. */
function generatedSchemas(): [string, unknown][] {
  return customResources
    .map(customResourceDefinition)
    .map(({ metadata, spec }) => [metadata.name, spec.versions[0]?.schema]);
}

async function shortNames(): Promise<unknown> {
  return JSON.parse(await kubectl.out(['get', 'crd', dataVolumes, '-o', 'jsonpath={.spec.names.shortNames}']));
}

beforeAll(async () => {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  directory = mkdtempSync(join(tmpdir(), 'longshore-chart-'));
  // The chart as it is, but for what needs a node.
  for (const part of ['Chart.yaml', 'files/crds', crdsTemplate, usersTemplate]) {
    cpSync(join(chart, part), join(directory, part), { recursive: true });
  }
  helmProgram = join(await programsOf('companions', say), 'helm');
  cluster = await startControlPlane({ components: ['etcd', 'apiserver', 'controller-manager'], say });
  kubectl = new Kubectl(join(await programsOf('kubernetes', say), 'kubectl'), cluster.kubeconfig);
});

afterAll(async () => {
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('the CRDs of the chart', () => {
  test('are refused with a sentence where CDI is installed, and nothing is touched', async () => {
    const ofCdi = readFileSync(join(directory, 'files/crds/storageprofiles.cdi.kubevirt.io.yaml'), 'utf8');
    await kubectl.out(['create', '-f', '-'], ofCdi);
    const { code, err } = await helm('install', 'longshore', directory);
    expect(code).toBe(1);
    expect(err).toContain(
      'CDI is installed on this cluster: its CustomResourceDefinition storageprofiles.cdi.kubevirt.io is there.',
    );
    expect(await crdNames()).toEqual(['customresourcedefinition.apiextensions.k8s.io/storageprofiles.cdi.kubevirt.io']);
    expect((await kubectl.answer(['get', 'clusterrole', 'cdi.kubevirt.io:view'])).code).toBe(1);
    await kubectl.out(['delete', 'crd', 'storageprofiles.cdi.kubevirt.io']);
  });

  test('are upgraded and rolled back with the release, and outlive it with their objects', async () => {
    await helmSucceeds('install', 'longshore', directory);
    expect(await crdNames()).toHaveLength(12);
    for (const [name, schema] of generatedSchemas()) {
      const { spec } = (await kubectl.get('crd', name)) as { spec: CustomResourceDefinition['spec'] };
      expect([name, spec.versions[0]?.schema]).toEqual([name, schema]);
    }
    await kubectl.out(['wait', '--for=condition=Established', '--timeout=60s', 'crd', dataVolumes]);
    const disk = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name: 'disk' }, spec: {} };
    await kubectl.out(['create', '-f', '-'], JSON.stringify(disk));

    const file = join(directory, 'files/crds', `${dataVolumes}.yaml`);
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, before.replace('      - dvs\n', '      - dvs\n      - disks\n'));
    await helmSucceeds('upgrade', 'longshore', directory);
    expect(await shortNames()).toEqual(['dv', 'dvs', 'disks']);
    await helmSucceeds('rollback', 'longshore', '1');
    expect(await shortNames()).toEqual(['dv', 'dvs']);
    writeFileSync(file, before);

    await helmSucceeds('uninstall', 'longshore');
    expect(await crdNames()).toHaveLength(12);
    expect((await kubectl.get('dv', 'disk'))['kind']).toBe('DataVolume');
    expect((await kubectl.answer(['get', 'clusterrole', 'cdi.kubevirt.io:view'])).code).toBe(1);

    await helmSucceeds('install', 'longshore', directory);
    expect(await shortNames()).toEqual(['dv', 'dvs']);
  });

  test('belong to one release', async () => {
    const { code, err } = await helm('install', 'another', directory);
    expect([code, err]).toEqual([1, expect.stringContaining('invalid ownership metadata')]);
  });
});

interface Wish {
  verb: string;
  group?: string;
  resource: string;
  subresource?: string;
  namespace?: string;
}

async function isAllowed(
  user: string,
  { namespace = 'images', group = 'cdi.kubevirt.io', ...wish }: Wish,
): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user, groups: ['system:authenticated'], resourceAttributes: { namespace, group, ...wish } },
  };
  return JSON.parse(await kubectl.out(['create', '-f', '-', '-o', 'json'], JSON.stringify(review))).status.allowed;
}

describe('the roles of the chart', () => {
  beforeAll(async () => {
    await kubectl.out(['create', 'namespace', 'images']);
    for (const role of ['admin', 'edit', 'view', 'cdi.kubevirt.io:clone-sourcer']) {
      const binding = ['rolebinding', `${role}-user`, '-n', 'images', `--clusterrole=${role}`, `--user=${role}-user`];
      await kubectl.out(['create', ...binding]);
    }
    const read = { verb: 'get', resource: 'datavolumes' };
    for (const role of ['admin', 'edit', 'view']) {
      await until(`the role ${role} to hold ours`, 60_000, () => isAllowed(`${role}-user`, read));
    }
  });

  const write: Wish = { verb: 'create', resource: 'datavolumes' };
  const cloneFrom: Wish = { verb: 'create', resource: 'datavolumes', subresource: 'source' };
  const token: Wish = { verb: 'create', group: 'upload.cdi.kubevirt.io', resource: 'uploadtokenrequests' };
  const populate: Wish = { verb: 'create', group: 'forklift.cdi.kubevirt.io', resource: 'ovirtvolumepopulators' };
  const all: [what: string, Wish][] = [
    ['read a DataVolume', { verb: 'watch', resource: 'datavolumes' }],
    ['read a populator', { ...populate, verb: 'list' }],
    ['make a DataVolume', write],
    ['delete a DataSource', { verb: 'delete', resource: 'datasources' }],
    ['make a VolumeCloneSource', { verb: 'create', resource: 'volumeclonesources' }],
    ['make a populator', populate],
    ['clone from the namespace', cloneFrom],
    ['ask for an upload token', token],
    ['write a status', { verb: 'update', resource: 'datavolumes', subresource: 'status' }],
    ['make a DataVolume elsewhere', { ...write, namespace: 'default' }],
    ['read the CDIConfig', { verb: 'get', resource: 'cdiconfigs', namespace: '' }],
    ['change the CDIConfig', { verb: 'update', resource: 'cdiconfigs', namespace: '' }],
    ['read the CDI', { verb: 'get', resource: 'cdis', namespace: '' }],
  ];
  const everybody = ['read the CDIConfig'];
  const reader = ['read a DataVolume', 'read a populator'];
  const writer = [
    ...reader,
    'make a DataVolume',
    'delete a DataSource',
    'make a VolumeCloneSource',
    'make a populator',
    'clone from the namespace',
    'ask for an upload token',
  ];

  test.for<[string, string[]]>([
    ['admin', [...writer, ...everybody]],
    ['edit', [...writer, ...everybody]],
    ['view', [...reader, ...everybody]],
    ['cdi.kubevirt.io:clone-sourcer', ['clone from the namespace', ...everybody]],
    ['nobody', everybody],
  ])('%s may do what it should, and no more', async ([role, expected]) => {
    const may: string[] = [];
    for (const [what, wish] of all) if (await isAllowed(`${role}-user`, wish)) may.push(what);
    expect(may).toEqual(expected);
  });
});
