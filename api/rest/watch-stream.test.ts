// Watches whose clients read slowly or not at all, over real HTTP.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { SqliteStore } from '../store/sqlite-store.ts';
import { acceptedType } from './media-type.ts';
import { servedKinds } from './served-kinds.ts';
import { WatchStream } from './watch-stream.ts';

const kind = servedKinds.find(({ ref }) => ref.plural === 'configmaps');
const wanted = { accepted: acceptedType(undefined), include: 'Metadata' } as const;
const app = fastify();
let store: SqliteStore;
let directory: string;
let address: string | undefined;
let longestStallMs: number;
const answers: ServerResponse[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-watch-'));
  store = await SqliteStore.open(directory);
  longestStallMs = 60_000;
  answers.length = 0;
  if (address !== undefined) return;
  app.get('/', async (_request, reply) => {
    if (kind === undefined) throw new Error('config maps are not served');
    answers.push(reply.raw);
    const watch = new WatchStream({ store, kind, wanted, mayStill: () => true, longestStallMs });
    await watch.run(reply, {}, { sendInitialEvents: 'true' });
  });
  address = await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  await Promise.all(answers.map((answer) => answer.destroyed || once(answer.destroy(), 'close')));
  await store.close();
  await rm(directory, { recursive: true });
});

function configMap(name: string, length: number): ConfigMap {
  const metadata = { name, namespace: 'default' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value: 'x'.repeat(length) } };
}

async function open(): Promise<{ response: IncomingMessage; answer: ServerResponse }> {
  const asking = request(`${address}`, { agent: false }).end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  const answer = answers.at(-1);
  if (answer === undefined) throw new Error('nothing was asked');
  return { response: response.on('error', () => undefined), answer };
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const text of response.setEncoding('utf8')) {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

/** Reads line by line until one of that type. @returns how many of each there were */
async function typesUntil(type: string, response: IncomingMessage, onLine?: () => Promise<void>) {
  const seen = new Map<string, number>();
  for await (const line of linesOf(response)) {
    const event: { type: string } = JSON.parse(line);
    seen.set(event.type, (seen.get(event.type) ?? 0) + 1);
    await onLine?.();
    if (event.type === type) break;
  }
  return seen;
}

test('10,000 objects, 40 MB, reach a slow reader while little waits for it', async () => {
  await Promise.all(
    Array.from({ length: 10_000 }, (_, n) => store.create(resources.configMaps, configMap(`m${n}`, 4_000))),
  );
  const { response, answer } = await open();
  let most = 0;
  const seen = await typesUntil('BOOKMARK', response, async () => {
    most = Math.max(most, answer.writableLength);
    await new Promise(setImmediate);
  });
  expect(Object.fromEntries(seen)).toEqual({ ADDED: 10_000, BOOKMARK: 1 });
  expect(most).toBeLessThan(1024 * 1024);
});

test('a client that lets too many changes wait gets 410 and the end', async () => {
  await store.create(resources.configMaps, configMap('a', 1_000_000));
  const { response, answer } = await open();
  for (let n = 0; n < 40; n += 1) {
    const stored = await store.get(resources.configMaps, { namespace: 'default', name: 'a' });
    if (stored === undefined) throw new Error('it is gone');
    await store.update(resources.configMaps, { ...stored, data: { value: `${n}`.padEnd(1_000_000) } });
  }
  expect(answer.writableLength).toBeLessThan(4_000_000);
  const seen = await typesUntil('ERROR', response);
  expect(seen.get('ERROR')).toBe(1);
  if (!answer.closed) await once(answer, 'close');
});

test('a client that takes nothing is cut off', async () => {
  longestStallMs = 50;
  for (let n = 0; n < 20; n += 1) await store.create(resources.configMaps, configMap(`m${n}`, 1_000_000));
  const { answer } = await open();
  if (!answer.closed) await once(answer, 'close');
  expect(answer.writableFinished).toBe(false);
});

test('a client that reads all is kept, however long nothing happens', async () => {
  longestStallMs = 50;
  const { response, answer } = await open();
  const lines = linesOf(response);
  await lines.next();
  const quiet = Promise.withResolvers<void>();
  answer.on('timeout', quiet.resolve);
  await quiet.promise;
  await store.create(resources.configMaps, configMap('late', 10));
  expect((await lines.next()).value).toContain('"late"');
});
