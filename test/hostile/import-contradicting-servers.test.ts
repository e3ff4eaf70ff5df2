// Servers whose answers contradict one another, or themselves: taken in one pass where that is possible, else refused in words that a person knows.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const claim = 8 * mib;
let bench: ImportBench;
let server: HostileServer;
let expected: string;

beforeAll(async () => {
  bench = await ImportBench.make();
  server = await HostileServer.start();
  const raw = Buffer.concat([Buffer.alloc(mib), randomBytes(3 * mib)]);
  expected = createHash('sha256')
    .update(raw)
    .update(Buffer.alloc(claim - raw.byteLength))
    .digest('hex');
  const work = await mkdtemp(join(tmpdir(), 'longshore-contradicting-'));
  try {
    const [path, qcow2] = [join(work, 'raw'), join(work, 'qcow2')];
    await writeFile(path, raw);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', path, qcow2]);
    server.set('qcow2', await readFile(qcow2));
  } finally {
    await rm(work, { recursive: true });
  }
  const packed = gzipSync(raw);
  server.set('raw', raw);
  server.set('raw.gz', packed);
  server.set('cut.gz', packed.subarray(0, packed.byteLength - 1000));
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
});

test.each(['raw', 'qcow2', 'raw.gz'])('%s that has another ETag in each answer is taken in one pass', async (name) => {
  const url = server.url('changes-etag', name);
  expect(await bench.import(url, claim)).toMatchObject({ code: 'SourceChanged' });
  server.forget();
  const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
  const { code, sha256 } = await bench.import(url, claim, { source: { ...source, onePass: true } });
  expect({ code, sha256 }).toEqual({ code: 'complete', sha256: expected });
  expect(server.seen.map(({ range }) => range)).toEqual([undefined]);
});

test.each([
  ['two-lengths', 'raw', 'SourceRefused', /contradicts itself/],
  ['length-and-chunks', 'raw', 'SourceRefused', /contradicts itself/],
  ['large-headers', 'raw', 'SourceRefused', /the headers of its answer are too large/],
  ['ranges', 'cut.gz', 'CorruptCompression', /complete|unexpected end/],
])('%s/%s is %s, in words that a person knows', async (behaviour, name, code, words) => {
  const ending = await bench.import(server.url(behaviour, name), claim);
  expect(ending).toMatchObject({ code, detail: expect.stringMatching(words) });
  expect(ending.detail).not.toMatch(/UND_ERR|HPE_|\(null\)/);
});
