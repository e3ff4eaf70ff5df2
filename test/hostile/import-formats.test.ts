// Every format that is taken, in every compression, becomes the same disk: byte for byte what its raw form becomes.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compressionNames, goodDisk, imageOf, imagesOf, packed, sha256InVolume } from './good-images.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const claim = 3 * 1_048_576;
const disk = goodDisk();
const images = imagesOf(disk);
const pairs = compressionNames.flatMap((inner) => compressionNames.map((outer) => [inner, outer] as const));
let bench: ImportBench;
let server: HostileServer;
let contentDigest: string | undefined;

beforeAll(async () => {
  bench = await ImportBench.make({ config: { firstByteTimeoutMs: 20_000, idleTimeoutMs: 20_000 } });
  server = await HostileServer.start();
  contentDigest = (await imported('raw', disk)).report?.contentDigest;
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
});

async function imported(name: string, bytes: Buffer, behaviour = 'ranges') {
  const path = name.replaceAll(' ', '-');
  server.set(path, bytes);
  return bench.import(server.url(behaviour, path), claim);
}

test.each([...images.keys()])('%s, plain and in each compression, is the disk', async (name) => {
  const image = imageOf(images, name);
  const plain = [imported(name, image), imported(name, image, 'no-ranges')];
  const inside = compressionNames.map((compression) => imported(`${name}.${compression}`, packed(image, compression)));
  const expected = name === 'iso' ? sha256InVolume(image, claim) : sha256InVolume(disk, claim);
  for (const ending of await Promise.all([...plain, ...inside])) {
    expect(ending).toMatchObject({ detail: '', sha256: expected });
    if (name !== 'iso') expect(ending.report?.contentDigest).toBe(contentDigest);
  }
});

describe('a disk that was compressed twice', () => {
  test.each(pairs)('%s in %s', async (inner, outer) => {
    const ending = await imported(`${inner}.${outer}`, packed(packed(disk, inner), outer));
    expect(ending).toMatchObject({ detail: '', report: { format: `raw.${inner}.${outer}`, contentDigest } });
  });

  test('in bzip2, whose blocks tell nothing before their end, though nothing of it can be compressed', async () => {
    const random = randomBytes(2_500_000);
    const ending = await imported('random.bz2.bz2', packed(packed(random, 'bz2'), 'bz2'));
    expect(ending).toMatchObject({ detail: '', sha256: sha256InVolume(random, claim) });
  });

  test('three times is refused', async () => {
    const ending = await imported('thrice', packed(packed(packed(disk, 'gz'), 'xz'), 'gz'));
    expect(ending).toMatchObject({ code: 'UnsupportedFormat', left: [] });
  });
});
