// DELETE of a collection, as client-go's DeleteCollection sends it.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { ApiUnderTest } from '../../test/kubectl/running-api.ts';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start();
});
afterAll(() => under.close());

const pathIn = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`;
const path = pathIn('default');
const held = { finalizers: ['longshore.dev/held'] };

function map(namespace: string, name: string, metadata = {}): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name, ...metadata } };
}

function left(): string[] {
  const entries = under.store.entries(resources.configMaps);
  return entries.map(({ namespace, name }) => `${namespace}/${name}`);
}

async function empty(): Promise<void> {
  for (const entry of under.store.entries(resources.configMaps)) {
    const object = await under.store.get(resources.configMaps, entry);
    if (object === undefined) continue;
    const { finalizers: _, ...metadata } = object.metadata;
    if (object.metadata.deletionTimestamp === undefined) await under.store.delete(resources.configMaps, entry);
    if (object.metadata.finalizers !== undefined) {
      const { resourceVersion: _version, ...latest } = metadata;
      await under.store.update(resources.configMaps, { ...object, metadata: latest });
    }
  }
}

beforeEach(async () => {
  await empty();
  const labels = { goes: 'yes' };
  await under.store.create(resources.configMaps, map('default', 'a', { labels }));
  await under.store.create(resources.configMaps, map('default', 'b', { labels }));
  await under.store.create(resources.configMaps, map('default', 'c'));
  await under.store.create(resources.configMaps, map('longshore', 'a', { labels }));
});

test.each([
  ['all of the namespace', '', ['longshore/a']],
  ['those with the labels', '?labelSelector=goes%3Dyes', ['default/c', 'longshore/a']],
  ['those with the fields', '?fieldSelector=metadata.name%3Db', ['default/a', 'default/c', 'longshore/a']],
  ['none on trial', '?dryRun=All', ['default/a', 'default/b', 'default/c', 'longshore/a']],
])('%s are deleted', async (_what, query, remaining) => {
  const { status, body } = await under.ask({ method: 'DELETE', path: `${path}${query}` });
  expect([status, body]).toMatchObject([200, { kind: 'ConfigMapList', apiVersion: 'v1' }]);
  expect(left()).toEqual(remaining);
});

test('what was deleted is answered', async () => {
  const { body } = await under.ask({ method: 'DELETE', path: `${path}?labelSelector=goes%3Dyes` });
  expect(body).toMatchObject({ items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }] });
});

test('what finalizers hold stays, marked, and the rest goes', async () => {
  await under.store.create(resources.configMaps, map('default', 'h', held));
  await under.ask({ method: 'DELETE', path });
  expect(left()).toEqual(['default/h', 'longshore/a']);
  const stored = await under.store.get(resources.configMaps, { namespace: 'default', name: 'h' });
  expect(stored?.metadata.deletionTimestamp).toBeDefined();
});

test('a selector that cannot be read deletes nothing', async () => {
  expect((await under.ask({ method: 'DELETE', path: `${path}?labelSelector=a%3D%3D%3Db` })).status).toBe(400);
  expect(left()).toHaveLength(4);
});

test('it is a right of its own, in each namespace', async () => {
  const view = await under.user('view', 'view');
  const edit = await under.user('edit', 'edit', ['default']);
  const asked: [string, string, number][] = [
    [view, path, 403],
    [edit, pathIn('longshore'), 403],
    [edit, path, 200],
  ];
  for (const [token, where, status] of asked) {
    expect((await under.ask({ method: 'DELETE', path: where, token })).status).toBe(status);
  }
  expect(left()).toEqual(['longshore/a']);
});
