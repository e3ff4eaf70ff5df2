// A schedule from outside: what a web server has is imported, a newer version of it too, clones get the newest, and the old go. The look is forced as anybody
// can force it, by the annotation that says when the next one is.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataSource } from '../../domain/custom-resources/data-source.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { packed, TestRegistry } from '../registry/test-registry.ts';
import { Service, until } from '../service-fixture.ts';
import { SwiftServer, swiftKeys } from '../sources/swift-server.ts';
import { tarArchive } from '../tar-archive.ts';
import { ServiceUser } from './service-user.ts';

const mib = 1_048_576;
const group = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default';
const apiVersion = 'cdi.kubevirt.io/v1beta1';
const storage = { resources: { requests: { storage: '2Mi' } } };
let service: Service;
let user: ServiceUser;
let server: Server;
/** What the server has now; undefined: nothing. */
let image: Buffer | undefined;

beforeAll(async () => {
  server = createServer((_request, response) => {
    if (image === undefined) return response.writeHead(404).end();
    const etag = `"${createHash('sha256').update(image).digest('hex')}"`;
    return response.writeHead(200, { etag, 'content-length': image.length }).end(image);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', () => resolve());
  [service] = await Promise.all([Service.start(), promise]);
  user = new ServiceUser(service);
}, 120_000);

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await service.stop();
});

async function get<T>(path: string): Promise<T | undefined> {
  const { status, body } = await service.call<T>('GET', `${group}/${path}`);
  return status === 404 ? undefined : body;
}

const cron = () => get<DataImportCron>('dataimportcrons/fedora-cron');

async function make(plural: string, kind: string, name: string, spec: object): Promise<void> {
  const { status, body } = await service.call('POST', `${group}/${plural}`, {
    apiVersion,
    kind,
    metadata: { name },
    spec,
  });
  expect([status, body]).toEqual([201, expect.anything()]);
}

async function lookNow(): Promise<void> {
  const body = { metadata: { annotations: { [annotations.nextCronTime]: '2020-01-01T00:00:00Z' } } };
  expect((await service.call('PATCH', `${group}/dataimportcrons/fedora-cron`, body)).status).toBe(200);
}

/** @returns the name of the import that the DataSource names, when that holds this content */
async function newestHolds(content: Buffer): Promise<string> {
  let name = '';
  await until('the DataSource names what the server has', async () => {
    const dataSource = await get<DataSource>('datasources/fedora');
    name = dataSource?.status?.source?.pvc?.name ?? '';
    if (name === '') return false;
    return readFileSync(user.diskOf(await user.volume(name))).equals(content);
  });
  return name;
}

async function isUpToDate(reason: string): Promise<void> {
  await until(`the cron is ${reason}`, async () => {
    const conditions = (await cron())?.status?.conditions ?? [];
    return conditions.some((condition) => condition.type === 'UpToDate' && condition.reason === reason);
  });
}

async function cloneHolds(name: string, content: Buffer): Promise<void> {
  await make('datavolumes', 'DataVolume', name, { sourceRef: { kind: 'DataSource', name: 'fedora' }, storage: {} });
  const volume = await user.untilPhase(name, 'Succeeded');
  expect(readFileSync(user.diskOf(volume)).equals(content)).toBe(true);
}

describe('a DataImportCron', () => {
  const [first, second] = [randomBytes(2 * mib), randomBytes(2 * mib)];
  let oldest: string;

  test('imports what its source has at once, and names it', async () => {
    image = first;
    const { port } = server.address() as AddressInfo; // Safe: it listens on TCP.
    const source = { http: { url: `http://127.0.0.1:${port}/fedora.raw` } };
    const template = { spec: { source, storage } };
    const kept = { managedDataSource: 'fedora', importsToKeep: 1, retentionPolicy: 'None' };
    await make('dataimportcrons', 'DataImportCron', 'fedora-cron', { template, schedule: '0 0 1 1 *', ...kept });
    oldest = await newestHolds(first);
    expect(oldest).toMatch(/^fedora-[0-9a-f]{12}$/);
    await isUpToDate('UpToDate');
  });

  test('is cloned by the name of its DataSource', () => cloneHolds('early', first));

  test('imports nothing where nothing has changed', async () => {
    await lookNow();
    await until(
      'it was looked',
      async () => Date.parse((await cron())?.metadata.annotations?.[annotations.nextCronTime] ?? '') > Date.now(),
    );
    const { body } = await service.call<{ items: DataVolume[] }>('GET', `${group}/datavolumes`);
    expect(body.items.map(({ metadata }) => metadata.name).toSorted()).toEqual(['early', oldest].toSorted());
  });

  test('says that its source is gone, and keeps what it has', async () => {
    image = undefined;
    await lookNow();
    await isUpToDate('SourceNotFound');
    expect(await newestHolds(first)).toBe(oldest);
  });

  test('imports what is newer, lets the old go, and clones get the newest', async () => {
    image = second;
    await lookNow();
    const newest = await newestHolds(second);
    expect(newest).not.toBe(oldest);
    await until('the old import is gone', async () => (await get(`datavolumes/${oldest}`)) === undefined);
    await cloneHolds('late', second);
    expect(readFileSync(user.diskOf(await user.volume('early'))).equals(first)).toBe(true);
  });

  test('goes with all that it kept, but not with what was cloned from it', async () => {
    const newest = await newestHolds(second);
    expect((await service.call('DELETE', `${group}/dataimportcrons/fedora-cron`)).status).toBe(200);
    await until('its import and its DataSource are gone', async () => {
      const left = [await get(`datavolumes/${newest}`), await get('datasources/fedora')];
      return left.every((object) => object === undefined);
    });
    expect(readFileSync(user.diskOf(await user.volume('late'))).equals(second)).toBe(true);
  });
});

describe('a DataImportCron of a registry', () => {
  const [first, second] = [randomBytes(2 * mib), randomBytes(2 * mib)];
  let registry: TestRegistry;
  const push = (content: Buffer) =>
    registry.image('latest', { layers: [packed(tarArchive([{ name: 'disk/disk.img', body: content }]))] }).digest;

  beforeAll(async () => {
    registry = await TestRegistry.start();
    const config = '/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config';
    const { status } = await service.call('PATCH', config, { spec: { insecureRegistries: [registry.host] } });
    expect(status).toBe(200);
  });

  afterAll(() => registry.stop());

  test('imports what the tag names, by its digest, and what it names later', async () => {
    const digest = push(first);
    const template = { spec: { source: { registry: { url: registry.url(':latest') } }, storage } };
    const spec = { template, schedule: '0 0 1 1 *', managedDataSource: 'fedora' };
    await make('dataimportcrons', 'DataImportCron', 'fedora-cron', spec);
    const name = await newestHolds(first);
    expect(name).toBe(`fedora-${digest.slice('sha256:'.length).slice(0, 12)}`);
    const { spec: pinned } = await user.volume(name);
    expect(pinned.source?.registry?.url).toBe(registry.url(`@${digest}`));
    const newer = push(second);
    await lookNow();
    expect(await newestHolds(second)).toBe(`fedora-${newer.slice('sha256:'.length).slice(0, 12)}`);
  });
});

describe('a DataImportCron of S3', () => {
  const [first, second] = [randomBytes(2 * mib), randomBytes(2 * mib)];
  const key = { Bucket: 'images', Key: 'fedora.raw' };
  let swift: SwiftServer;
  let oldest: string;

  beforeAll(async () => {
    for (const path of ['dataimportcrons/fedora-cron', 'datasources/fedora']) {
      await service.call('DELETE', `${group}/${path}`);
      await until('what was before is gone', async () => (await get(path)) === undefined);
    }
    swift = await SwiftServer.start();
    await swift.put(key.Key, first);
  }, 240_000);

  afterAll(() => swift[Symbol.asyncDispose]());

  async function keepKeys(name: string, secretKey: string): Promise<void> {
    const { status } = await service.call('POST', '/api/v1/namespaces/default/secrets', {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name } },
      stringData: { accessKeyId: swiftKeys.accessKeyId, secretKey },
    });
    expect(status).toBe(201);
  }

  test('imports the object by its ETag, with the keys of its secret', async () => {
    await keepKeys('s3-keys', swiftKeys.secretAccessKey);
    const source = { s3: { url: swift.url(key.Key), secretRef: 's3-keys' } };
    const kept = { managedDataSource: 'fedora', importsToKeep: 1 };
    const spec = { template: { spec: { source, storage } }, schedule: '0 0 1 1 *', ...kept };
    await make('dataimportcrons', 'DataImportCron', 'fedora-cron', spec);
    oldest = await newestHolds(first);
    expect(oldest).toMatch(/^fedora-[0-9a-f]{12}$/);
    await isUpToDate('UpToDate');
  });

  test('says that the object is gone, and keeps what it has', async () => {
    await swift.client.send(new DeleteObjectCommand(key));
    await lookNow();
    await isUpToDate('SourceNotFound');
    expect(await newestHolds(first)).toBe(oldest);
  });

  test('imports what is newer, and lets the old go', async () => {
    await swift.put(key.Key, second);
    await lookNow();
    expect(await newestHolds(second)).not.toBe(oldest);
    await until('the old import is gone', async () => (await get(`datavolumes/${oldest}`)) === undefined);
    await cloneHolds('of-s3', second);
  });

  test('says that the server refuses the keys, once they are others', async () => {
    const path = '/api/v1/namespaces/default/secrets/s3-keys';
    expect((await service.call('PATCH', path, { stringData: { secretKey: 'other' } })).status).toBe(200);
    await lookNow();
    await isUpToDate('SourceUnauthorized');
    await newestHolds(second);
  });
});
