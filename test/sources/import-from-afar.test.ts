// A source that is far away, where one connection does not fill the line: read over several, unless the server does not stand that.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { HostileServer } from '../hostile/hostile-server.ts';
import { ImportBench } from '../hostile/import-bench.ts';
import { DistantRelay } from './distant-relay.ts';

const mib = 1_048_576;
const raw = randomBytes(40 * mib);
const expected = createHash('sha256').update(raw).digest('hex');
const distance = { roundTripMs: 60, bytesPerSecond: 20e6 };
let bench: ImportBench;
let server: HostileServer;

beforeAll(async () => {
  server = await HostileServer.start();
  server.set('raw', raw);
  bench = await ImportBench.make({ config: { firstByteTimeoutMs: 20_000, idleTimeoutMs: 20_000 } });
});

beforeEach(() => server.forget());

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await bench.close();
  await server.stop();
});

const relayed = () => DistantRelay.start(Number(new URL(server.origin).port), distance);

test.each([undefined, 'sha512'])('is read over several connections, each byte once (checksum: %s)', async (name) => {
  await using relay = await relayed();
  const asked = name === undefined ? {} : { checksum: `${name}:${createHash(name).update(raw).digest('hex')}` };
  const ending = await bench.import(`${relay.origin}/ranges/raw`, raw.byteLength, asked);
  expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { fetchedBytes: raw.byteLength } });
  expect(relay.connections).toBeGreaterThan(4);
  expect(relay.connections).toBeLessThanOrEqual(9);
  expect(relay.passedBytes).toBeLessThan(raw.byteLength * 1.01);
});

test('is read over one where the server hangs up on further ones', async () => {
  await using relay = await relayed();
  relay.mostConnections = 2;
  const ending = await bench.import(`${relay.origin}/ranges/raw`, raw.byteLength);
  expect(ending).toMatchObject({ code: 'complete', sha256: expected });
});

test('is read over one where the server says that there are too many requests', async () => {
  await using relay = await relayed();
  const ending = await bench.import(`${relay.origin}/few-at-once/raw`, raw.byteLength);
  expect(ending).toMatchObject({ code: 'complete', sha256: expected });
});

test('that changes while it is read is refused as changed', async () => {
  await using relay = await relayed();
  const ending = await bench.import(`${relay.origin}/changes-late/raw`, raw.byteLength);
  expect(ending).toMatchObject({ code: 'SourceChanged', report: undefined });
});
