// What a user without kubectl types to import from where a right is needed: the right is kept first, then named. Through the whole service.
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeServer, formatAddress, listenOn } from '../../runtime/listen.ts';
import { Service } from '../service-fixture.ts';
import { SwiftServer, swiftKeys, swiftRegion } from '../sources/swift-server.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const disk = randomBytes(3 * 1_048_576);
const sha256 = createHash('sha256').update(disk).digest('hex');
const basic = `Basic ${Buffer.from('me:my secret').toString('base64')}`;

let [service, swift, web, webAddress]: [Service | undefined, SwiftServer | undefined, Server | undefined, string] = [
  undefined,
  undefined,
  undefined,
  '',
];
let user: ServiceUser;

beforeAll(async () => {
  swift = await SwiftServer.start();
  await swift.put('disk', disk);
  web = createServer(({ headers }, response) => {
    const isRight = headers.authorization === basic && headers['x-wish'] === 'a disk';
    response
      .writeHead(isRight ? 200 : 401, { 'content-length': isRight ? disk.byteLength : 0 })
      .end(isRight ? disk : '');
  });
  webAddress = formatAddress(await listenOn(web, { host: '127.0.0.1', port: 0 }));
  service = await Service.start();
  user = new ServiceUser(service);
}, 240_000);

afterAll(async () => {
  await service?.stop();
  if (web !== undefined) await closeServer(web);
  await swift?.[Symbol.asyncDispose]();
});

async function shown(name: string): Promise<string> {
  return (await user.run('digest', `default/${name}`, '--sha256')).stdout;
}

test('an object of S3, by its URL and by s3:, sized by a look with the same right', async () => {
  const { accessKeyId, secretAccessKey } = swiftKeys;
  const words = ['credentials', 'default/bucket', '--user', accessKeyId, '--region', swiftRegion];
  const kept = await user.runWith(`${secretAccessKey}\n`, ...words);
  expect(kept).toEqual({ code: 0, stderr: '', stdout: 'secret default/bucket: kept; use it with --secret bucket\n' });
  const url = swift?.url('disk') ?? '';
  const read = ['--secret', 'bucket', '--checksum', `sha256:${sha256}`, '--wait'];
  expect(await user.run('import', url, 'default/by-url', '--as', 's3', ...read)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Succeeded'),
  });
  expect(await shown('by-url')).toContain(sha256);
  const short = `s3://images/disk?endpoint=${swift?.origin}&region=${swiftRegion}`;
  expect(await user.run('import', short, 'default/by-s3', ...read)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Succeeded'),
  });
  expect(await shown('by-s3')).toContain(sha256);
  const { status } = await user.volume('by-s3');
  expect(status?.longshore).toMatchObject({ virtualSize: disk.byteLength, verified: 'digest' });
});

test('a password that is kept again takes the place of the former one', async () => {
  const url = `http://${webAddress}/disk`;
  const words = ['--size', '4Mi', '--secret', 'web', '--header', 'X-Wish: a disk', '--wait'];
  await user.runWith('another', 'credentials', 'default/web', '--user', 'me', '--region', 'elsewhere');
  expectTold(await user.run('import', url, 'default/refused', ...words), 'SourceUnauthorized');
  expect((await user.runWith('my secret\n', 'credentials', 'default/web', '--user', 'me')).code).toBe(0);
  const kept = await service?.call('GET', '/api/v1/namespaces/default/secrets/web');
  const data = { accessKeyId: expect.any(String), secretKey: expect.any(String) };
  expect(kept?.body).toEqual(expect.objectContaining({ data }));
  expect(await user.run('import', url, 'default/taken', ...words)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Succeeded'),
  });
});

test('CAs are kept, and what is no certificate is not', async () => {
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  expect((await user.runWith(pem, 'certificates', 'fresh/ca')).stderr).toBe('namespace fresh: created\n');
  const path = '/api/v1/namespaces/fresh/configmaps/ca';
  expect((await service?.call('GET', path))?.body).toMatchObject({ data: { 'ca.pem': pem.trimEnd() } });
  expectTold(await user.runWith('no certificate', 'certificates', 'fresh/other'), 'InvalidRequest');
  const former = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'old', namespace: 'fresh' } };
  const data = { 'former.crt': pem, 'note.txt': 'whose they are' };
  await service?.call('POST', '/api/v1/namespaces/fresh/configmaps', { ...former, data });
  expect((await user.runWith(pem, 'certificates', 'fresh/old')).code).toBe(0);
  const kept = await service?.call<{ data: object }>('GET', '/api/v1/namespaces/fresh/configmaps/old');
  expect(kept?.body.data).toEqual({ 'ca.pem': pem.trimEnd(), 'note.txt': 'whose they are' });
});
