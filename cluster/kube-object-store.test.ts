// Lists against a server that answers what no kube-apiserver should; the contract of object stores is tried against a real one in test/cluster.
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resources } from '../domain/resources.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { KubeClient } from './kube-client.ts';
import { KubeObjectStore } from './kube-object-store.ts';

let server: Server;
let client: KubeClient;
let store: KubeObjectStore;
/** What the server answers, in turn. */
let answers: unknown[];
let asked: string[];

beforeEach(async () => {
  answers = [];
  asked = [];
  server = createServer((request, response) => {
    asked.push(new URL(request.url ?? '', 'http://server').search);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answers.shift()));
  });
  const { port } = await listenOn(server, { host: '127.0.0.1', port: 0 });
  const token = async () => undefined;
  client = new KubeClient({ server: `http://127.0.0.1:${port}`, ca: undefined, client: undefined, token });
  store = new KubeObjectStore(client);
});
afterEach(async () => {
  await client.close();
  await closeServer(server);
});

const metadata = { resourceVersion: '7' };

test('a list comes in pages, and its items are named', async () => {
  answers = [
    { metadata: { ...metadata, continue: 'more' }, items: [{ metadata: { name: 'one' } }] },
    { metadata: { ...metadata, continue: '' }, items: null },
  ];
  const { items, resourceVersion } = await store.list(resources.claims);
  expect(resourceVersion).toBe('7');
  expect(items).toEqual([{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'one' } }]);
  expect(asked).toEqual(['?limit=500', '?limit=500&continue=more']);
});

test.each([
  ['an object', { metadata: { ...metadata, name: 'one' }, spec: {} }],
  ['a list without a version', { metadata: {}, items: [] }],
  ['items that are no list', { metadata, items: {} }],
  ['nothing but an empty object', {}],
])('%s in place of a list is as good as no answer', async (_what, answer) => {
  answers = [answer];
  await expect(store.list(resources.claims)).rejects.toMatchObject({ code: 'ServiceUnreachable' });
});
