// Uploads that are refused, through the whole service: by their token, by the state of the volume, or by their bytes. Each is told on the answer, costs
// nothing on disk, and leaves a volume that waits ready for the right upload.
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import { UploadTokens } from '../../runtime/upload-tokens.ts';
import { packed } from '../hostile/good-images.ts';
import { noDisks } from '../hostile/no-disk-corpus.ts';
import { hostileQcow2Images } from '../hostile/qcow2-corpus.ts';
import { descriptionOfAFileOfTheMachine } from '../hostile/vmdk-corpus.ts';
import { Service, until } from '../service-fixture.ts';
import { tarArchive } from '../tar-archive.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const good = randomBytes(2 * MiB);
let service: Service;
let user: ServiceUser;
let tokens: UploadTokens;
let work: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-uploads-'));
  service = await Service.start();
  user = new ServiceUser(service);
  tokens = await UploadTokens.open(join(service.directory, 'pki'), { lifetimeSeconds: 300 });
}, 120_000);

afterAll(async () => {
  await service.stop();
  await rm(work, { recursive: true });
});

async function claimOf(name: string): Promise<{ namespace: string; name: string; uid: string }> {
  const path = `/api/v1/namespaces/${user.namespace}/persistentvolumeclaims/${name}`;
  const { body } = await service.call<{ metadata: { uid: string } }>('GET', path);
  return { namespace: user.namespace, name, uid: body.metadata.uid };
}

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token that opens nothing', () => {
  let right: string;
  beforeAll(async () => {
    right = await user.openUpload('guarded', '2Mi');
  });

  const payload = (): string => right.split('.')[1] ?? '';
  const bad: [what: string, make: () => Promise<string | undefined>, code: FaultCode][] = [
    ['none at all', async () => undefined, 'TokenMissing'],
    ['one that is no token', async () => 'abc', 'TokenInvalid'],
    ['the token of an administrator of the API', async () => service.adminToken, 'TokenInvalid'],
    [
      'one that has expired',
      async () => tokens.issue(await claimOf('guarded'), new Date(Date.now() - 3_600_000)),
      'TokenExpired',
    ],
    [
      'one that is not valid yet',
      async () => tokens.issue(await claimOf('guarded'), new Date(Date.now() + 3_600_000)),
      'TokenInvalid',
    ],
    ['one without a signature (alg none)', async () => `${base64url({ alg: 'none' })}.${payload()}.`, 'TokenInvalid'],
    [
      'alg none with the old signature',
      async () => [base64url({ alg: 'none' }), ...right.split('.').slice(1)].join('.'),
      'TokenInvalid',
    ],
    ['one signed with the public key as a secret', async () => signedWithPublicKey(payload()), 'TokenInvalid'],
    ['one whose claims were changed', async () => withOtherName(right), 'TokenInvalid'],
    ['one signed by another service', tokenOfAnotherService, 'TokenInvalid'],
    [
      'one for another volume of that name',
      async () => tokens.issue({ ...(await claimOf('guarded')), uid: '00000000-0000-4000-8000-000000000000' }),
      'TokenForeign',
    ],
  ];

  test.each(bad)('%s', async (_what, make, code) => {
    const answer = await user.upload(await make(), good);
    expect(answer).toMatchObject({ status: faultCatalogue[code].http, fault: code });
    const volume = await user.volume('guarded');
    expect(volume.status).toMatchObject({ phase: 'UploadReady' });
    user.expectNothingLeft(volume);
  });

  test('the right one still does', async () => {
    expect(await user.upload(right, good)).toMatchObject({ status: 200 });
    const volume = await user.untilPhase('guarded', 'Succeeded');
    expect(readFileSync(user.diskOf(volume)).equals(good)).toBe(true);
  });

  function signedWithPublicKey(claims: string): string {
    const secret = readFileSync(join(service.directory, 'pki', 'upload-token.pub'));
    const body = `${base64url({ alg: 'HS256' })}.${claims}`;
    return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
  }

  function withOtherName(token: string): string {
    const [head, , signature] = token.split('.');
    const claims: unknown = JSON.parse(Buffer.from(payload(), 'base64url').toString('utf8'));
    return [head, base64url({ ...(claims as object), name: 'other' }), signature].join('.');
  }

  async function tokenOfAnotherService(): Promise<string> {
    const other = await UploadTokens.open(join(work, 'other-pki'), { lifetimeSeconds: 300 });
    return other.issue(await claimOf('guarded'));
  }
});

describe('a volume that takes no upload', () => {
  test('one that is complete', async () => {
    const token = await tokens.issue(await claimOf('guarded'));
    const before = readFileSync(user.diskOf(await user.volume('guarded')));
    const answer = await user.upload(token, randomBytes(2 * MiB));
    expect(answer).toMatchObject({ status: 503, fault: 'UploadFinished' });
    expect(readFileSync(user.diskOf(await user.volume('guarded'))).equals(before)).toBe(true);
    await writeFile(join(work, 'again'), good);
    expectTold(await user.run('upload', join(work, 'again'), 'guarded'), 'UploadFinished');
  });

  test('one that is no target of an upload', async () => {
    await user.create('blank', { blank: {} }, '2Mi');
    await user.untilPhase('blank', 'Succeeded');
    const answer = await user.upload(await tokens.issue(await claimOf('blank')), good);
    expect(answer).toMatchObject({ status: 503, fault: 'NotAnUploadTarget' });
    await writeFile(join(work, 'onto'), good);
    expectTold(await user.run('upload', join(work, 'onto'), 'blank'), 'AlreadyExists');
    expect(user.staged()).toEqual([]);
  });

  test('one that does not exist', async () => {
    const token = await tokens.issue({ namespace: 'default', name: 'nowhere', uid: 'none' });
    expect(await user.upload(token, good)).toMatchObject({ status: 503, fault: 'NotFound' });
    expectTold(await user.run('token', 'default/nowhere'), 'NotFound');
  });

  test('one that another upload is filling just now', async () => {
    const token = await user.openUpload('busy', '2Mi');
    const first = Promise.withResolvers<number>();
    const call = request(user.uploadUrl, {
      ...{ method: 'POST', ca: service.ca, agent: false },
      headers: { authorization: `Bearer ${token}`, 'content-length': good.length },
    });
    call.once('response', (response) => first.resolve(response.resume().statusCode ?? 0)).once('error', first.reject);
    call.write(good.subarray(0, MiB));
    await until('the first one writes', () => user.staged().length === 1);
    expect(await user.upload(token, randomBytes(2 * MiB))).toMatchObject({ status: 503, fault: 'UploadBusy' });
    call.end(good.subarray(MiB));
    expect(await first.promise).toBe(200);
    const volume = await user.untilPhase('busy', 'Succeeded');
    expect(readFileSync(user.diskOf(volume)).equals(good)).toBe(true);
  });
});

describe('bytes that are refused', () => {
  const corpus = [...hostileQcow2Images(), ...noDisks()];
  const lying = (name: string) => corpus.find((image) => image.name === name)?.bytes ?? Buffer.alloc(0);
  const gzip = gzipSync(good, { level: 1 });
  const wrongSum = Buffer.from(gzip);
  wrongSum.writeUInt8(wrongSum.readUInt8(gzip.length - 8) ^ 1, gzip.length - 8);
  const bad: [what: string, bytes: Buffer, code: FaultCode][] = [
    ['a zip', lying('zip'), 'NotADiskImage'],
    ['a tar', tarArchive([{ name: 'disk.img', body: good.subarray(0, MiB) }]), 'NotADiskImage'],
    ['a gzip whose sum is another', wrongSum, 'CorruptCompression'],
    ['an xz that ends early', packed(good, 'xz').subarray(0, -100_000), 'CorruptCompression'],
    ['a vmdk that names a file of the machine', descriptionOfAFileOfTheMachine(), 'HostileImage'],
    ['a qcow2 of a larger disk', lying('larger than the volume'), 'ImageTooLarge'],
    ['a web page', Buffer.from(`<html>${'x'.repeat(100_000)}</html>`), 'NotADiskImage'],
    ['more than the volume holds', randomBytes(3 * MiB), 'ImageTooLarge'],
    ['a decompression bomb', gzipSync(Buffer.alloc(64 * MiB)), 'ImageTooLarge'],
    ['a gzip that ends early', gzip.subarray(0, gzip.length - 100_000), 'CorruptCompression'],
    ['a qcow2 with a backing file', lying('backing file /etc/passwd'), 'HostileImage'],
    ['a qcow2 with an external data file', lying('external data file'), 'HostileImage'],
    ['a corrupt qcow2', lying('L2 table beyond the end'), 'CorruptImage'],
    ['a cut qcow2', lying('cut in its last cluster'), 'CorruptImage'],
  ];

  test.each(bad)('%s', async (what, bytes, code) => {
    const name = what.replaceAll(/[^a-z0-9]+/g, '-');
    const token = await user.openUpload(name, '2Mi');
    const answer = await user.upload(token, bytes);
    expect(answer).toMatchObject({ fault: code });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    await expectWaiting(name, code);
    // The command sends it without waiting for the conversion, and still tells the reason.
    await writeFile(join(work, name), bytes);
    expectTold(await user.run('upload', join(work, name), name), code);
    await expectWaiting(name, code);
    expect(await user.upload(token, good)).toMatchObject({ status: 200 });
    const volume = await user.untilPhase(name, 'Succeeded');
    expect(readFileSync(user.diskOf(volume)).equals(good)).toBe(true);
    expect(volume.status?.longshore?.fault).toBeUndefined();
  });

  test.each<[string, Buffer]>([
    ['its length alone', good],
    ['the header of a qcow2', lying('larger than the volume')],
  ])('a disk that is too large by %s, before the body is there', async (_what, begin) => {
    const name = begin === good ? 'too-long' : 'too-large';
    const token = await user.openUpload(name, '2Mi');
    const answered = Promise.withResolvers<unknown>();
    const call = request(user.uploadUrl, {
      ...{ method: 'POST', ca: service.ca, agent: false },
      headers: { authorization: `Bearer ${token}`, 'content-length': 2 ** 40 },
    });
    call.once('response', (response) => answered.resolve(response.resume().headers['longshore-fault']));
    call.once('error', answered.reject);
    call.write(begin.subarray(0, 128 * 1024));
    expect(await answered.promise).toBe('ImageTooLarge');
    call.on('error', () => undefined).destroy(); // it is we who end it
    await expectWaiting(name, 'ImageTooLarge');
    expect(await user.upload(token, good)).toMatchObject({ status: 200 });
  });

  test.each([
    ['bz2', () => packed(good, 'bz2')],
    ['gz in gz', () => gzipSync(gzip)],
  ])('but a disk in %s is the disk', async (what, make) => {
    const name = what.replaceAll(' ', '-');
    expect(await user.upload(await user.openUpload(name, '2Mi'), make())).toMatchObject({ status: 200 });
    const volume = await user.untilPhase(name, 'Succeeded');
    expect(readFileSync(user.diskOf(volume)).equals(good)).toBe(true);
  });

  test('a client that goes away in the middle', async () => {
    const token = await user.openUpload('gone', '2Mi');
    const call = request(user.uploadUrl, {
      ...{ method: 'POST', ca: service.ca, agent: false },
      headers: { authorization: `Bearer ${token}`, 'content-length': good.length },
    });
    call.on('error', () => undefined); // it is we who end it
    call.write(good.subarray(0, MiB));
    await until('it writes', () => user.staged().length === 1);
    call.destroy();
    await expectWaiting('gone', 'UploadInterrupted');
    expect(await user.upload(token, good)).toMatchObject({ status: 200 });
  });

  /** The object tells why, nothing of it is left, and the volume waits for the next upload. */
  async function expectWaiting(name: string, code: FaultCode): Promise<void> {
    let seen: unknown;
    const isWaiting = async () => {
      const { phase, longshore } = (await user.volume(name)).status ?? {};
      seen = { phase, fault: longshore?.fault?.code, staged: user.staged() };
      return phase === 'UploadReady' && longshore?.fault?.code === code && user.staged().length === 0;
    };
    await until(`${name} waits again`, isWaiting, 30_000).catch(() => {
      expect(seen).toEqual({ phase: 'UploadReady', fault: code, staged: [] });
    });
    const volume = await user.volume(name);
    const { nextStep } = faultCatalogue[code];
    expect(volume.status?.longshore?.fault).toMatchObject({ nextStep, detail: expect.stringMatching(/.{10}/) });
    expect(existsSync(user.diskOf(volume))).toBe(false);
  }
});
