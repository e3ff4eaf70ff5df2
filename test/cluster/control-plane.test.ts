// The real API without a node that other tests stand on: it answers, comes back after a kill with what it held, and leaves nothing.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Agent, fetch } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane({ components: ['etcd', 'apiserver'], audit: true });
});

afterAll(() => plane.stop());

/** Each over a connection of its own: an API server that was killed holds none. */
async function ask(path: string, options: { method?: string; body?: string; token?: string } = {}) {
  const dispatcher = new Agent({ connect: { ca: plane.ca } });
  try {
    const { token = plane.token, ...rest } = options;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const reply = await fetch(plane.server + path, { dispatcher, headers, ...rest });
    return { status: reply.status, body: await reply.text() };
  } finally {
    await dispatcher.destroy();
  }
}

test('it answers who it knows, and nobody else', async () => {
  expect((await ask('/version')).body).toContain('"gitVersion": "v1.34.');
  expect(await ask('/api/v1/namespaces', { token: 'guessed' })).toMatchObject({ status: 401 });
});

test('an API server that was killed comes back at the same address with what it held', async () => {
  const made = JSON.stringify({ metadata: { name: 'kept' }, data: { answer: 'yes' } });
  const created = await ask('/api/v1/namespaces/default/configmaps', { method: 'POST', body: made });
  expect(created.status).toBe(201);
  await plane.kill('apiserver');
  await expect(ask('/readyz')).rejects.toThrow('fetch failed');
  await plane.start('apiserver');
  expect((await ask('/api/v1/namespaces/default/configmaps/kept')).body).toContain('"answer":"yes"');
});

test('each request is a line of the audit log', async () => {
  await ask('/api/v1/namespaces/default/configmaps/asked-once');
  const lines = (await readFile(plane.auditLog, 'utf8')).trim().split('\n');
  const requests = lines.map((line) => JSON.parse(line)).filter(({ objectRef }) => objectRef?.name === 'asked-once');
  expect(requests).toMatchObject([
    { verb: 'get', user: { username: 'kubernetes-admin' }, responseStatus: { code: 404 } },
  ]);
});

test('what is stopped leaves no file', async () => {
  const other = await startControlPlane({ components: ['etcd', 'apiserver'] });
  await other.stop();
  expect(existsSync(dirname(dirname(other.kubeconfig)))).toBe(false);
});
