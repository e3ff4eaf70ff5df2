// What kubectl says of mistakes is the same, word for word, where the embedded API answers and where a real kube-apiserver does, with the kinds of the chart.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { customResources } from '../../domain/custom-resources/custom-resources.ts';
import { customResourceDefinition } from '../../scripts/custom-resource-definition.ts';
import { ApiUnderTest, claim, dataVolume } from '../kubectl/running-api.ts';
import { programsOf } from './build-programs.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { type Answer, answerOf } from './run-program.ts';

const storage = { resources: { requests: { storage: '1Gi' } } };
const right = dataVolume('right');

/** By name, what is created and applied. */
const manifests: Readonly<Record<string, object>> = {
  right,
  'unknown-field': dataVolume('wrong', { spec: { source: { blank: {} }, colour: 'red', storage } }),
  'misspelt-field': dataVolume('wrong', { spec: { source: { http: { ulr: 'http://images.example' } }, storage } }),
  'wrong-type': dataVolume('wrong', { spec: { source: { blank: {} }, preallocation: 'yes', storage } }),
  'unknown-kind': { ...right, kind: 'DataVolum' },
  'unknown-version': { ...right, apiVersion: 'cdi.kubevirt.io/v9' },
  'unknown-group': { ...right, apiVersion: 'cdi.example/v1' },
  'wrong-claim': { ...claim('wrong'), spec: { accesModes: ['ReadWriteOnce'], ...storage } },
};

let plane: ControlPlane;
let embedded: ApiUnderTest;
let kubectl = '';
let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-words-'));
  for (const [name, object] of Object.entries(manifests)) {
    await writeFile(join(directory, `${name}.json`), JSON.stringify(object));
  }
  const say = (line: string) => process.stderr.write(`${line}\n`);
  kubectl = join(await programsOf('kubernetes', say), 'kubectl');
  plane = await startControlPlane({ components: ['etcd', 'apiserver'], say });
  embedded = await ApiUnderTest.start();
  const kinds = { apiVersion: 'v1', kind: 'List', items: customResources.map(customResourceDefinition) };
  const made = await answerOf(kubectl, ['--kubeconfig', plane.kubeconfig, 'create', '-f', '-'], JSON.stringify(kinds));
  expect([made.code, made.err]).toEqual([0, '']);
  const isServed = ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'];
  expect((await answerOf(kubectl, ['--kubeconfig', plane.kubeconfig, ...isServed])).code).toBe(0);
});

afterAll(async () => {
  await embedded?.close();
  await plane?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** A word that ends in .json names one of the manifests. */
async function askBoth(words: readonly string[]): Promise<{ real: Answer; ours: Answer }> {
  const args = words.map((word) => (word.endsWith('.json') ? join(directory, word) : word));
  const ask = (kubeconfig: string, side: string) =>
    answerOf(kubectl, ['--kubeconfig', kubeconfig, '--cache-dir', join(directory, side), ...args]);
  const real = await ask(plane.kubeconfig, 'real');
  const ours = await ask(await embedded.kubeconfig(), 'ours');
  return { real, ours };
}

describe('kubectl says the same', () => {
  test.each<[string, string]>([
    ['get nosuchkind', "the server doesn't have a resource type"],
    ['get nosuchkind.cdi.kubevirt.io', "the server doesn't have a resource type"],
    ['get dv nosuch', 'not found'],
    ['describe dv nosuch', 'not found'],
    ['delete dv nosuch', 'not found'],
    ['get dv -l a==b,,c', "expected: identifier after ','"],
    ['get dv --field-selector spec.nosuch=1', 'field label not supported'],
    ['explain nosuchkind', "the server doesn't have a resource type"],
    ['explain dv.spec.nosuch', 'does not exist'],
    ['explain dv.spec.source.http', 'FIELD: http'],
    ['explain dv.status.conditions --recursive', 'FIELD: conditions'],
    ['explain dv.spec.source --output=plaintext-openapiv2', 'RESOURCE: source'],
    ['create --validate=strict -f unknown-field.json', 'unknown field "spec.colour"'],
    ['apply --validate=strict -f unknown-field.json', 'unknown field "spec.colour"'],
    ['create --validate=strict -f misspelt-field.json', 'unknown field "spec.source.http.ulr"'],
    ['create --validate=strict -f wrong-type.json', 'must be of type boolean'],
    ['create -f unknown-kind.json', 'no matches for kind "DataVolum"'],
    ['create -f unknown-version.json', 'no matches for kind "DataVolume" in version "cdi.kubevirt.io/v9"'],
    ['apply -f unknown-group.json', 'no matches for kind "DataVolume" in version "cdi.example/v1"'],
    ['create -f wrong-claim.json', 'unknown field "spec.accesModes"'],
    ['apply -f right.json', 'created'],
    ['diff -f right.json', ''],
    ['create -f right.json', 'already exists'],
    ['patch dv right --type strategic -p {"spec":{}}', 'application/strategic-merge-patch+json is not supported'],
    ['label dv right a=b', 'labeled'],
    ['label dv right a=c', '--overwrite is false'],
    ['annotate dv nosuch a=b', 'not found'],
    ['auth can-i create nosuch', "doesn't have a resource type"],
    ['create namespace default', 'already exists'],
    ['delete namespace nosuch', 'not found'],
    ['delete dv right', 'deleted'],
  ])('of %s', async (command, part) => {
    const { real, ours } = await askBoth(command.split(' '));
    expect(real.out + real.err).toContain(part);
    expect(ours).toEqual(real);
  });
});
