// The CRDs of the chart on a real kube-apiserver: it takes them, explains every member, takes every manifest, keeps every member, and drops
// and tells what it does not know.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { CustomResourceDefinition } from '../../scripts/custom-resource-definition.ts';
import { schemasWithin, undescribedMembers } from '../../scripts/structural-rules.ts';
import { programsOf } from './build-programs.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { fullObject } from './full-object.ts';
import { Kubectl } from './kubectl.ts';
import { manifests, manifestsOfDocumentation } from './manifests.ts';
import { until } from './until.ts';

const folder = join(import.meta.dirname, '../../charts/longshore/files/crds');
// Safe: drift from the code is checked, and the code makes nothing else.
const definitions = readdirSync(folder).map(
  (name) => parse(readFileSync(join(folder, name), 'utf8')) as CustomResourceDefinition,
);

let cluster: ControlPlane;
let kubectl: Kubectl;

function schemaOf({ spec }: CustomResourceDefinition) {
  const [version] = spec.versions;
  if (version === undefined) throw new Error(`${spec.names.kind} has no version`);
  return version.schema.openAPIV3Schema;
}

/** Members as `kubectl explain` counts them: a list or a map is its items. */
function membersOf(definition: CustomResourceDefinition): string[] {
  const paths = [...schemasWithin(schemaOf(definition))].map(([path]) => path);
  return paths.filter((path) => path !== '' && !/[\]}]$/.test(path)).map((path) => path.replaceAll(/\[\]|\{\}/g, ''));
}

/** Members of what `kubectl explain --recursive` prints: one a line, deeper ones further in. */
function explainedMembers(text: string): string[] {
  const path: string[] = [];
  return text.split('\n').flatMap((line) => {
    const [, indent, name] = /^((?: {2})+)(\S+)\t</.exec(line) ?? [];
    if (indent === undefined || name === undefined) return [];
    path.splice(indent.length / 2 - 1, path.length, name);
    return [path.join('.')];
  });
}

beforeAll(async () => {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  cluster = await startControlPlane({ components: ['etcd', 'apiserver'], say });
  kubectl = new Kubectl(join(await programsOf('kubernetes', say), 'kubectl'), cluster.kubeconfig);
  await kubectl.out(['apply', '--server-side', '--validate=strict', '-f', folder]);
  await kubectl.out(['wait', '--for=condition=Established', '--timeout=60s', '-f', folder]);
  // Schemas are published a moment after a kind is established.
  for (const { spec, metadata } of definitions) {
    await until(`the schema of ${metadata.name}`, 60_000, async () => {
      const { code, out } = await kubectl.answer(['explain', metadata.name, '--recursive']);
      return code === 0 && (spec.names.kind === 'CDIConfig' || out.includes('spec\t'));
    });
  }
});

afterAll(() => cluster?.stop());

describe('the API server', () => {
  test.for(definitions.map((definition) => [definition.metadata.name] as const))(
    'establishes %s and finds nothing wrong with its schema',
    async ([name]) => {
      const { status } = (await kubectl.get('crd', name)) as {
        status: { conditions: { type: string; status: string }[] };
      };
      const conditions = Object.fromEntries(status.conditions.map(({ type, status }) => [type, status]));
      expect(conditions).toEqual({ NamesAccepted: 'True', Established: 'True' });
    },
  );

  test.for(definitions.map((definition) => [definition.spec.names.kind, definition] as const))(
    'explains every member of %s',
    async ([, definition]) => {
      const { out } = await kubectl.answer(['explain', definition.metadata.name, '--recursive']);
      const explained = explainedMembers(out).filter((path) => !path.startsWith('metadata.'));
      expect(explained.sort()).toEqual(membersOf(definition).sort());
    },
  );

  test('publishes a description of every member', async () => {
    for (const group of new Set(definitions.map(({ spec }) => spec.group))) {
      const page = JSON.parse(await kubectl.out(['get', '--raw', `/openapi/v3/apis/${group}/v1beta1`]));
      for (const { spec } of definitions.filter((definition) => definition.spec.group === group)) {
        const name = `${group.split('.').reverse().join('.')}.v1beta1.${spec.names.kind}`;
        expect([name, undescribedMembers(page.components.schemas[name])]).toEqual([name, []]);
      }
    }
  });

  test('explains with the words that clients of CDI look for', async () => {
    expect(await kubectl.out(['explain', 'dv.status'])).toContain(
      'DataVolumeStatus contains the current status of the DataVolume',
    );
    expect(await kubectl.out(['explain', 'dv.status'])).toContain(
      'RestartCount is the number of times the pod populating the DataVolume has',
    );
    expect(await kubectl.out(['explain', 'cdi.status'])).toContain('CDIStatus defines the status of the installation');
    expect(await kubectl.out(['explain', 'cdi.status'])).toContain('The desired version of the resource');
    const config = await kubectl.out(['explain', 'cdiconfig.status']);
    expect(config).toContain('CDIConfigStatus provides the most recently observed status of the CDI');
    expect(config).toContain('The calculated upload proxy URL');
    expect(await kubectl.out(['explain', 'dv.status.longshore.fault.nextStep'])).toContain('what to do about it');
  });
});

describe('manifests', () => {
  // Where those of the documentation lie.
  beforeAll(() => kubectl.out(['create', 'namespace', 'images']));

  test.for([...manifests, ...manifestsOfDocumentation()])('$title is taken as it stands', async ({ yaml }) => {
    await kubectl.out(['create', '--dry-run=server', '--validate=strict', '-f', '-'], yaml);
  });

  test.for(definitions.map((definition) => [definition.spec.names.kind, definition] as const))(
    'of %s keep every member, and are shown with the columns of their kind',
    async ([, definition]) => {
      const { group, names, versions } = definition.spec;
      const full = fullObject(`${group}/v1beta1`, names.kind, schemaOf(definition));
      const [type, hasStatusPath] = [definition.metadata.name, versions[0]?.subresources !== undefined];
      await kubectl.out(['create', '--validate=strict', '-f', '-'], JSON.stringify(full));
      const { status: statusAtFirst, ...created } = await kubectl.get(type, 'full');
      expect(created['spec']).toEqual(full['spec']);
      expect(statusAtFirst).toEqual(hasStatusPath ? undefined : full['status']);
      // Safe: the code makes its columns with names.
      const named = (versions[0]?.additionalPrinterColumns ?? [{ name: 'Age' }]) as { name: string }[];
      const columns = named.map(({ name }) => name.toUpperCase());
      const [head = ''] = (await kubectl.out(['get', type, 'full'])).split('\n');
      expect(head.trim().split(/ {2,}/)).toEqual(['NAME', ...columns]);
      if (hasStatusPath) {
        const withStatus = JSON.stringify({ ...created, status: full['status'] });
        await kubectl.out(['replace', '--subresource=status', '--validate=strict', '-f', '-'], withStatus);
        expect((await kubectl.get(type, 'full'))['status']).toEqual(full['status']);
      }
      await kubectl.out(['delete', type, 'full']);
    },
  );
});

const unknown = `
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: unknown}
spec:
  source: {blank: {}, floppy: {}}
  storage: {resources: {requests: {storage: 1Gi}}}
  colour: red`;

describe('what a schema does not know', () => {
  test('is refused where it is to be strict', async () => {
    const { code, err } = await kubectl.answer(['create', '--validate=strict', '-f', '-'], unknown);
    expect(code).toBe(1);
    expect(err).toContain('unknown field "spec.colour", unknown field "spec.source.floppy"');
  });

  test('is told and dropped otherwise', async () => {
    const { code, err } = await kubectl.answer(['create', '--validate=warn', '-f', '-'], unknown);
    expect([code, err.split('\n').filter((line) => line !== '')]).toEqual([
      0,
      ['Warning: unknown field "spec.colour"', 'Warning: unknown field "spec.source.floppy"'],
    ]);
    expect((await kubectl.get('dv', 'unknown'))['spec']).toEqual({
      source: { blank: {} },
      storage: { resources: { requests: { storage: '1Gi' } } },
    });
  });

  test.for<[string, string, string]>([
    ['dv', 'source: {http: {}}', 'spec.source.http.url: Required value'],
    ['dv', 'contentType: tape', 'spec.contentType: Unsupported value: "tape": supported values: "kubevirt", "archive"'],
    ['dv', 'preallocation: "yes"', 'spec.preallocation in body must be of type boolean'],
    [
      'dv',
      'storage: {resources: {requests: {storage: big}}}',
      'spec.storage.resources.requests.storage in body should match',
    ],
    ['dv', 'source: {http: {url: [a]}}', 'spec.source.http.url in body must be of type string'],
    ['storageprofile', 'claimPropertySets: [{accessModes: [Always], volumeMode: Block}]', 'Illegal AccessMode'],
    [
      'storageprofile',
      'claimPropertySets: [{accessModes: [ReadWriteOnce], volumeMode: Tape}]',
      'Unsupported value: "Tape"',
    ],
    ['cdiconfig', 'filesystemOverhead: {global: "1.5"}', 'spec.filesystemOverhead.global in body should match'],
    ['cdi', 'uninstallStrategy: Maybe', 'spec.uninstallStrategy: Unsupported value: "Maybe"'],
    ['dic', 'schedule: ""', 'spec.managedDataSource: Required value'],
  ])('a %s with `%s` is refused', async ([type, spec, sentence]) => {
    const definition = definitions.find(({ spec }) =>
      [spec.names.singular, ...(spec.names.shortNames ?? [])].includes(type),
    );
    const manifest = `apiVersion: cdi.kubevirt.io/v1beta1\nkind: ${definition?.spec.names.kind}\nmetadata: {name: wrong}\nspec: {${spec}}`;
    const { code, err } = await kubectl.answer(['create', '--validate=false', '-f', '-'], manifest);
    expect([code, err]).toEqual([1, expect.stringContaining(sentence)]);
  });
});

describe('kubectl', () => {
  test('shows the columns, and finds kinds by short names and by `all`', async () => {
    await kubectl.out(
      ['create', '-f', '-'],
      unknown.replaceAll('unknown', 'shown').replace(/^.*floppy.*$|^.*colour.*$/gm, ''),
    );
    const status = { phase: 'ImportInProgress', progress: '45.34%', restartCount: 2, longshore: { attempt: 3 } };
    await kubectl.out([
      'patch',
      'dv',
      'shown',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    ]);
    const table = (await kubectl.out(['get', 'dvs', 'shown']))
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(table).toEqual([
      ['NAME', 'PHASE', 'PROGRESS', 'RESTARTS', 'AGE'],
      ['shown', 'ImportInProgress', '45.34%', '2', expect.stringMatching(/^\d+s$/)],
    ]);
    expect(await kubectl.out(['get', 'all'])).toContain('datavolume.cdi.kubevirt.io/shown');
    for (const { spec, metadata } of definitions) {
      for (const name of [spec.names.singular, ...(spec.names.shortNames ?? [])]) {
        const { code, err } = await kubectl.answer(['get', name]);
        expect([metadata.name, name, code, err.includes("doesn't have a resource type")]).toEqual([
          metadata.name,
          name,
          0,
          false,
        ]);
      }
    }
    await kubectl.out(['delete', 'dv', '--all']);
  });
});
