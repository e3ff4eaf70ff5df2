// The limit for a whole attempt: a source that never falls silent, but never ends either.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AttemptInputs } from '../jobs/attempt-inputs.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { WorkerFixture } from '../test/worker-fixture.ts';

const waiting = { timeout: 20_000, interval: 20 };
const sizeBytes = 64 * 1024 * 1024;

let fixture: WorkerFixture;
let source: Server;
let url: string;
let trickling: NodeJS.Timeout;

beforeEach(async () => {
  const answers = new Set<ServerResponse>();
  source = createServer((request, response) => {
    response.setHeader('content-length', sizeBytes);
    if (request.url === '/whole') return response.end(Buffer.alloc(sizeBytes));
    response.write(Buffer.alloc(1_000_000, 'x'));
    return answers.add(response);
  });
  trickling = setInterval(() => {
    for (const response of answers) response.write('x');
  }, 20);
  const { port } = await listenOn(source, { host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${port}`;
});

afterEach(async () => {
  clearInterval(trickling);
  await fixture.close();
  await closeServer(source);
});

async function importFrom(path: string) {
  const volumeId = await fixture.volume(sizeBytes);
  const http = { kind: 'http' as const, url: url + path, headers: [], certificates: [], insecureSkipVerify: false };
  const inputs: AttemptInputs = { operation: 'import', source: http, sizeBytes, preallocation: false };
  fixture.controller.inputs.set(`${volumeId}.1`, inputs);
  await fixture.enqueue('import', volumeId);
  await vi.waitFor(() => expect(fixture.controller.outcomeOf(volumeId, 1)).toBeDefined(), waiting);
  return fixture.controller.outcomeOf(volumeId, 1);
}

test('an import that takes too long ends with the setting in its fault, and leaves nothing', async () => {
  fixture = await WorkerFixture.start({ totalTimeoutMs: 500 });
  await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
  expect(await importFrom('/trickle')).toMatchObject({
    ok: false,
    fault: { code: 'TimedOut', retryable: true, detail: expect.stringContaining('LONGSHORE_TOTAL_TIMEOUT_MS') },
  });
  expect(await fixture.stagings()).toEqual([]);
  expect((await fixture.channel.call('inventory', {})).running).toEqual([]);
});

test('one within the limit is complete', async () => {
  fixture = await WorkerFixture.start({ totalTimeoutMs: 20_000 });
  await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
  expect(await importFrom('/whole')).toMatchObject({ ok: true });
});
