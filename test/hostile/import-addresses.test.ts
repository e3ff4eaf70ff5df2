// A user names the URL, the worker fetches it: what only the worker's machine reaches is not read, by whatever way the URL leads there.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const claim = 2 * 1_048_576;
const refused = { code: 'SourceAddressRefused', left: [], report: undefined };
let bench: ImportBench;
let server: HostileServer;
let expected: string;

beforeAll(async () => {
  // 127.0.0.1 is where the test's own server listens; all else on loopback stays refused.
  bench = await ImportBench.make({ config: { sourceAllow: '127.0.0.1' } });
  server = await HostileServer.start();
  const disk = randomBytes(claim);
  server.set('raw', disk);
  expected = createHash('sha256').update(disk).digest('hex');
});
afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
});

describe('an address that is not to be read', () => {
  test.each([
    'http://127.0.0.2:1/raw',
    'http://169.254.169.254/latest/meta-data/',
    'https://169.254.169.254/',
    'http://[::1]:1/raw',
    'http://[::ffff:169.254.169.254]/raw',
    'http://0x7f.0.0.2/raw', // as a URL is read, 127.0.0.2
    'http://2130706434/raw', // as well
    'http://0/raw',
  ])('%s is refused', async (url) => {
    expect(await bench.import(url, claim)).toMatchObject(refused);
  });

  test('is refused behind a redirect, too, which is told by its host', async () => {
    server.redirectTo = 'http://169.254.169.254/latest/meta-data/iam';
    const ending = await bench.import(server.url('redirect', 'raw'), claim);
    expect(ending).toMatchObject({ ...refused, detail: '169.254.169.254' });
  });

  test('is refused where a redirect comes only with a later part', async () => {
    server.forget();
    server.redirectTo = `http://127.0.0.2:${new URL(server.origin).port}/ranges/raw`;
    expect(await bench.import(server.url('redirects-later', 'raw'), claim)).toMatchObject({ code: refused.code });
  });

  test('is refused behind a name, over http and https', async () => {
    const other = await ImportBench.make({ config: { sourceAllow: '' } });
    try {
      for (const url of ['http://localhost:1/raw', 'https://localhost:1/raw']) {
        expect(await other.import(url, claim)).toMatchObject({
          ...refused,
          detail: expect.stringMatching(/^localhost is /),
        });
      }
    } finally {
      await other.close();
    }
  });

  test('is refused also where a proxy would fetch it', async () => {
    const proxy = { http: server.origin };
    const source = { kind: 'http' as const, url: 'http://169.254.169.254/', headers: [], certificates: [], proxy };
    server.forget();
    expect(await bench.import('', claim, { source: { ...source, insecureSkipVerify: false } })).toMatchObject(refused);
    expect(server.seen).toEqual([]);
  });
});

test('what is allowed is read', async () => {
  expect(await bench.import(server.url('ranges', 'raw'), claim)).toMatchObject({ code: 'complete', sha256: expected });
  server.redirectTo = server.url('ranges', 'raw');
  server.forget();
  expect(await bench.import(server.url('redirects-later', 'raw'), claim)).toMatchObject({ sha256: expected });
});
