// Writes of who leads, against a server that keeps them waiting: what may not be done any more is not sent.
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import type { ConfigMap } from '../domain/kube-shapes.ts';
import { resources } from '../domain/resources.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { KubeClient } from './kube-client.ts';
import { KubeObjectStore } from './kube-object-store.ts';

let server: Server;
let client: KubeClient;
let store: KubeObjectStore;
let asked: string[];
/** What the server answers, in turn, and does before. */
let answers: { status: number; before?: () => void }[];
let isHeld: boolean;
let lost: AbortController;

const note: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'ns', name: 'note' } };
const lose = () => {
  isHeld = false;
};

beforeEach(async () => {
  [asked, answers, isHeld, lost] = [[], [], true, new AbortController()];
  server = createServer((request, response) => {
    asked.push(request.method ?? '');
    const { status, before } = answers.shift() ?? { status: 200 };
    before?.();
    response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '0' }).end(JSON.stringify(note));
  });
  const { port } = await listenOn(server, { host: '127.0.0.1', port: 0 });
  const token = async () => undefined;
  client = new KubeClient({ server: `http://127.0.0.1:${port}`, ca: undefined, client: undefined, token });
  const assertHeld = () => {
    if (!isHeld) throw new Fault('Interrupted', 'the lease was taken by another');
  };
  store = new KubeObjectStore(client.withLicence({ signal: lost.signal, assertHeld }));
});
afterEach(async () => {
  await client.close();
  await closeServer(server);
});

const taken = { code: 'Interrupted', detail: 'the lease was taken by another' };

test('who leads writes, and who does not only reads', async () => {
  await store.update(resources.configMaps, note);
  lose();
  await store.get(resources.configMaps, note.metadata);
  await expect(store.create(resources.configMaps, note)).rejects.toMatchObject(taken);
  await expect(store.delete(resources.configMaps, note.metadata)).rejects.toMatchObject(taken);
  expect(asked).toEqual(['GET', 'PUT', 'GET']);
});

test('a write that a busy server put off is not sent again by who leads no longer', async () => {
  answers = [{ status: 429, before: lose }];
  await expect(store.create(resources.configMaps, note)).rejects.toMatchObject(taken);
  expect(asked).toEqual(['POST']);
});

test('a write for which the current version was asked is not sent by who leads no longer', async () => {
  answers = [{ status: 200, before: lose }];
  await expect(store.updateStatus(resources.configMaps, note)).rejects.toMatchObject(taken);
  expect(asked).toEqual(['GET']);
});

test('a write that is on its way is given up when the lease is lost', async () => {
  const reason = new Fault('ServiceUnreachable', 'not renewed in time');
  answers = [{ status: 429, before: () => lost.abort(reason) }];
  await expect(store.create(resources.configMaps, note)).rejects.toMatchObject({ code: reason.code });
  expect(asked).toEqual(['POST']);
});
