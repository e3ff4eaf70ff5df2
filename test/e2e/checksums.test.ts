// A checksum that is asked of a registry or of an upload, in each algorithm: the right one is proved, another one is told beside what came and leaves nothing,
// and one that is malformed makes no object.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import { packed, TestRegistry } from '../registry/test-registry.ts';
import { Service, until } from '../service-fixture.ts';
import { tarArchive } from '../tar-archive.ts';
import { ServiceUser } from './service-user.ts';

const disk = randomBytes(2 * 1_048_576);
const algorithms = ['md5', 'sha1', 'sha256', 'sha512'] as const;
let service: Service;
let registry: TestRegistry;
let user: ServiceUser;

beforeAll(async () => {
  [service, registry] = await Promise.all([Service.start(), TestRegistry.start()]);
  user = new ServiceUser(service);
  registry.image('latest', { layers: [packed(tarArchive([{ name: 'disk/disk.img', body: disk }]))] });
  const config = '/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config';
  const { status } = await service.call('PATCH', config, { spec: { insecureRegistries: [registry.host] } });
  expect(status).toBe(200);
}, 240_000);

afterAll(async () => {
  await registry.stop();
  await service.stop();
});

const digestOf = (algorithm: string): string => `${algorithm}:${createHash(algorithm).update(disk).digest('hex')}`;
/** As long as the right one. */
const otherThan = (checksum: string): string => checksum.replace(/:.*/, (hex) => `:${'0'.repeat(hex.length - 1)}`);
const sourceOf = (kind: 'registry' | 'upload') =>
  kind === 'upload' ? { upload: {} } : { registry: { url: registry.url(':latest') } };

const create = (name: string, kind: 'registry' | 'upload', checksum: string): Promise<void> =>
  user.create(name, sourceOf(kind), '2Mi', { [annotations.checksum]: checksum });

async function openUpload(name: string, checksum: string): Promise<string> {
  await create(name, 'upload', checksum);
  await user.untilPhase(name, 'UploadReady', 60_000);
  return user.token(name);
}

async function expectProven(name: string): Promise<void> {
  const volume = await user.untilPhase(name, 'Succeeded', 60_000);
  expect(volume.status?.longshore?.verified).toBe('digest');
  expect(readFileSync(user.diskOf(volume)).equals(disk)).toBe(true);
}

describe.each(algorithms)('a checksum in %s', (algorithm) => {
  const right = digestOf(algorithm);
  const wrong = otherThan(right);

  test('of what a registry has is proved', async () => {
    await create(`registry-${algorithm}`, 'registry', right);
    await expectProven(`registry-${algorithm}`);
  });

  test('of something else fails the import, with both digests', async () => {
    const name = `other-${algorithm}`;
    await create(name, 'registry', wrong);
    await user.untilPhase(name, 'Failed', 60_000);
    const { status } = await user.expectFailed(name, 'ChecksumMismatch');
    expectBoth(status?.longshore?.fault?.detail);
  });

  test('of an upload is proved, and of something else refuses it before, with both digests', async () => {
    const name = `upload-${algorithm}`;
    const token = await openUpload(name, right);
    const other = Buffer.from(disk).fill(1, 0, 512);
    const otherDigest = `${algorithm}:${createHash(algorithm).update(other).digest('hex')}`;
    const answer = await user.upload(token, other);
    expect(answer).toMatchObject({ fault: 'ChecksumMismatch' });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    await until('it waits again', async () => {
      const { phase, longshore } = (await user.volume(name)).status ?? {};
      return phase === 'UploadReady' && longshore?.fault !== undefined && user.staged().length === 0;
    });
    const volume = await user.volume(name);
    expect(volume.status?.longshore?.fault?.code).toBe('ChecksumMismatch');
    expect(volume.status?.longshore?.fault?.detail).toContain(right);
    expect(volume.status?.longshore?.fault?.detail).toContain(otherDigest);
    expect(existsSync(user.diskOf(volume))).toBe(false);
    expect(await user.upload(token, disk)).toMatchObject({ status: 200 });
    await expectProven(name);
  });

  test.each(['registry', 'upload'] as const)('that is malformed makes no object with a source of %s', async (kind) => {
    for (const malformed of malformedOf(right)) {
      const { status, body } = await service.call('POST', user.volumesPath, {
        ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' },
        metadata: { name: 'malformed', annotations: { [annotations.checksum]: malformed } },
        spec: { source: sourceOf(kind), storage: { resources: { requests: { storage: '2Mi' } } } },
      });
      expect([malformed, status, JSON.stringify(body)]).toEqual([malformed, 422, expect.stringContaining('hecksum')]);
      expect((await service.call('GET', `${user.volumesPath}/malformed`)).status).toBe(404);
    }
  });

  function expectBoth(detail: string | undefined): void {
    expect(detail).toContain(right);
    expect(detail).toContain(wrong);
  }
});

function malformedOf(right: string): string[] {
  const [algorithm = '', hex = ''] = right.split(':');
  return [hex, `${algorithm}:`, `${right}0`, right.slice(0, -1), `${right.slice(0, -1)}g`, `${algorithm}0:${hex}`];
}
