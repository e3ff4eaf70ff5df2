// Whatever leads the worker to a place, the address is looked at: nothing that only this machine reaches is even connected to, by no way and in no writing.
import { execFileSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Config } from '../../runtime/config.ts';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { type Ending, ImportBench } from './import-bench.ts';
import { type WayOut, waysOut } from './ways-out.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const hosts = [
  ...['127.0.0.1', '[::ffff:127.0.0.1]', '[::127.0.0.1]', '[::1]', '[64:ff9b::7f00:1]', '169.254.169.254'],
  ...['[::ffff:169.254.169.254]', 'localhost'],
];
const doorHost = '127.0.0.3';
let door: Server;
let doorOrigin: string;
let answer: WayOut['answer'];
let target: string;
/** Listens where nobody may go. */
let trap: Server;
let trapPort: number;
let caught = 0;
/** Only the door is allowed; everything is. */
let benches: Record<'strict' | 'open', ImportBench>;

beforeAll(async () => {
  door = createServer((request, response) => {
    request.resume();
    if (answer === undefined) response.writeHead(404).end();
    else answer(target, request, response);
  });
  doorOrigin = `http://${doorHost}:${(await listenOn(door, { host: doorHost, port: 0 })).port}`;
  trap = createServer((_request, response) => response.writeHead(404).end());
  trap.on('connection', () => {
    caught += 1;
  });
  trapPort = (await listenOn(trap, { host: '127.0.0.1', port: 0 })).port;
  const [strict, open] = await Promise.all([
    ImportBench.make({ config: { sourceAllow: doorHost } }),
    ImportBench.make({ config: { sourceAllow: '127.0.0.0/8,::1' } }),
  ]);
  benches = { strict, open };
});

afterAll(async () => {
  for (const bench of Object.values(benches)) {
    expect(await bench.stagings()).toEqual([]);
    await bench.close();
  }
  for (const server of [door, trap]) {
    server.closeAllConnections();
    await closeServer(server);
  }
});

beforeEach(() => {
  caught = 0;
});

async function go(way: WayOut, to: string, bench: ImportBench): Promise<Ending> {
  answer = way.answer;
  target = to;
  const settings: Partial<Config> = { s3TokenFile: fileURLToPath(import.meta.url), ...way.settings?.(to, doorOrigin) };
  const before = { ...bench.config };
  Object.assign(bench.config, settings);
  try {
    return await bench.import('', 1_048_576, { source: way.source(to, doorOrigin) });
  } finally {
    Object.assign(bench.config, before);
  }
}

describe.each(waysOut.map((way) => [way.name, way] as const))('%s', (_name, way) => {
  test('does lead to another place where that is allowed', async () => {
    await go(way, `http://127.0.0.1:${trapPort}`, benches.open);
    expect(caught > 0).toBe(way.notFollowed === undefined);
  });

  test.each(hosts)('does not lead to %s', async (host) => {
    // The bucket before the name is a name that stands for nothing.
    const isNoName = host === 'localhost' && /s3:\/\//.test(way.name);
    const code = isNoName ? 'SourceNameUnknown' : (way.notFollowed ?? 'SourceAddressRefused');
    const ending = await go(way, `http://${host}:${trapPort}`, benches.strict);
    expect(ending).toMatchObject({ code, left: [], report: undefined });
    expect(caught).toBe(0);
  });
});

test('a name that stands for another address with the next connection leads there no more', () => {
  const program = join(here, 'changing-name.ts');
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  // In a mount namespace of its own, where names are what a file of the test says.
  const script = 'cp /etc/hosts "$0" && mount --bind "$0" /etc/hosts && exec "$1" "$2" "$0"';
  const names = join(benches.strict.pool.directory, '..', 'hosts');
  const words = [...user, '--mount', '--', 'sh', '-c', script, names, process.execPath, program];
  const told: unknown = JSON.parse(execFileSync('unshare', words, { encoding: 'utf8', timeout: 60_000 }));
  expect(told).toEqual({
    changed: { code: 'SourceAddressRefused', detail: 'disks.example is 127.0.0.2', left: ['disk.img'] },
    both: { code: 'complete', detail: '', left: ['disk.img'] },
    answered: expect.any(Number),
    caught: 0,
  });
}, 90_000);
