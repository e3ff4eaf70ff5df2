// The upload server as the proxy sees it: CDI's paths, order of checks and statuses, and what is left after a bad upload.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { connect } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CertificateAuthority } from '../runtime/certificates.ts';
import { tarArchive } from '../test/tar-archive.ts';
import { WorkerFixture } from '../test/worker-fixture.ts';

const mebibyte = 1024 * 1024;
const waiting = { timeout: 20_000, interval: 10 };
const image = Buffer.concat([randomBytes(mebibyte), Buffer.alloc(mebibyte), randomBytes(mebibyte)]);

let fixture: WorkerFixture;
beforeAll(async () => {
  fixture = await WorkerFixture.start({ idleTimeoutMs: 300 });
  await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
});
afterAll(() => fixture.close());

/** A body that stops after its first part, and an end to the wait. */
function stalling(first: Buffer): { body: Readable; go(rest?: Buffer): void } {
  const rest = Promise.withResolvers<Buffer | undefined>();
  const body = Readable.from(
    (async function* () {
      yield first;
      const more = await rest.promise;
      if (more !== undefined) yield more;
    })(),
  );
  return { body, go: (more) => rest.resolve(more) };
}

async function isRunning(volumeId: string): Promise<boolean> {
  const { running } = await fixture.channel.call('inventory', {});
  return running.some((key) => key.volumeId === volumeId);
}

async function expectCommitted(volumeId: string): Promise<void> {
  expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
  expect(await fixture.stagings()).toEqual([]);
  await vi.waitFor(() => expect(fixture.controller.outcomeOf(volumeId, 1)).toMatchObject({ ok: true }), waiting);
}

describe('a good upload', () => {
  test.each(['/v1beta1/upload', '/v1alpha1/upload', '/v1beta1/upload-async', '/v1alpha1/upload-async'])(
    '%s answers 200 with an empty body and the volume is complete',
    async (path) => {
      const volumeId = await fixture.uploadSlot(image.length);
      expect(await fixture.upload(volumeId, image, { path })).toEqual({ status: 200, body: '', fault: undefined });
      await expectCommitted(volumeId);
    },
  );

  test('without a declared length', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    expect(await fixture.upload(volumeId, Readable.from([image]))).toMatchObject({ status: 200 });
    await expectCommitted(volumeId);
  });

  test('compressed', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    expect(await fixture.upload(volumeId, gzipSync(image))).toMatchObject({ status: 200 });
    await expectCommitted(volumeId);
  });

  test('a second one is 409', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    await fixture.upload(volumeId, image);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 409, fault: 'UploadFinished' });
    await expectCommitted(volumeId);
  });
});

describe('the order of checks', () => {
  test('healthz needs no certificate', async () => {
    const answer = await fixture.upload('', Buffer.alloc(0), {
      ...{ path: '/healthz', method: 'GET', tls: { ca: fixture.proxy.ca } },
    });
    expect(answer).toMatchObject({ status: 200, body: 'OK' });
  });

  test('HEAD is 200 on the async path, 404 on the other', async () => {
    const head = { method: 'HEAD' };
    const none = Buffer.alloc(0);
    expect(await fixture.upload('', none, { ...head, path: '/v1beta1/upload-async' })).toMatchObject({ status: 200 });
    expect(await fixture.upload('', none, { ...head, path: '/v1beta1/upload' })).toMatchObject({ status: 404 });
  });

  test.each(['GET', 'PUT', 'DELETE', 'PATCH'])('%s is 404', async (method) => {
    expect(await fixture.upload('', Buffer.alloc(0), { method })).toMatchObject({ status: 404 });
  });

  test('another path is 404', async () => {
    expect(await fixture.upload('', image, { path: '/v1beta1/upload-other' })).toMatchObject({ status: 404 });
  });

  test('a path for archives takes no disk, and none for a disk an archive', async () => {
    const archive = tarArchive([{ name: 'file', body: Buffer.from('text') }]);
    const path = '/v1beta1/upload-archive';
    expect(await fixture.upload('', archive, { method: 'HEAD', path })).toMatchObject({ status: 404 });
    const disk = await fixture.uploadSlot(image.length);
    expect(await fixture.upload(disk, archive, { path })).toMatchObject({ status: 400, fault: 'MalformedRequest' });
    const files = await fixture.uploadSlot(1_048_576, { contentType: 'archive' });
    expect(await fixture.upload(files, image)).toMatchObject({ status: 400, fault: 'MalformedRequest' });
    expect(await fixture.stagings()).toEqual([]);
    expect(await fixture.upload(files, archive, { path: '/v1alpha1/upload-archive' })).toMatchObject({ status: 200 });
    expect(await readFile(join(dirname(fixture.diskOf(files)), 'file'), 'utf8')).toBe('text');
    expect(await fixture.upload(files, archive, { path })).toMatchObject({ status: 409 });
  });

  test('no certificate, or another name of the same authority, is 401 and nothing begins', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const authority = await CertificateAuthority.openOrCreate(`${fixture.directory}/pki`);
    const other = await authority.issue({ name: 'other', cn: 'somebody', hosts: [], usages: ['client'] });
    expect(await fixture.upload(volumeId, image, { tls: { ca: other.ca } })).toMatchObject({ status: 401 });
    expect(await fixture.upload(volumeId, image, { tls: other })).toMatchObject({ status: 401 });
    expect(await fixture.stagings()).toEqual([]);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 200 });
  });

  test('the right name of a foreign authority is 401', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const authority = await CertificateAuthority.openOrCreate(`${fixture.directory}/foreign`);
    const name = 'client.upload-server.cdi.kubevirt.io';
    const { key, cert } = await authority.issue({ name: 'foreign', cn: name, hosts: [], usages: ['client'] });
    expect(await fixture.upload(volumeId, image, { tls: { key, cert } })).toMatchObject({ status: 401 });
  });

  test('a volume that waits for no upload is 503', async () => {
    const volumeId = await fixture.volume(image.length);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 503, fault: 'NotAnUploadTarget' });
    expect(await fixture.upload('../../etc/passwd', image)).toMatchObject({ status: 503, fault: 'NotAnUploadTarget' });
  });
});

describe('a bad upload', () => {
  test('a second one at the same time is 503 and does not disturb the first', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const { body, go } = stalling(image.subarray(0, mebibyte));
    const first = fixture.upload(volumeId, body, { declaredBytes: image.length });
    await vi.waitFor(async () => expect(await isRunning(volumeId)).toBe(true), waiting);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 503, fault: 'UploadBusy' });
    go(image.subarray(mebibyte));
    expect(await first).toMatchObject({ status: 200 });
    await expectCommitted(volumeId);
  });

  test('an image that is too large is refused in CDI words before it is read', async () => {
    const volumeId = await fixture.uploadSlot(mebibyte);
    // 64 MiB are announced; the answer comes although most of it is never sent.
    const { body, go } = stalling(image);
    const answer = await fixture.upload(volumeId, body, { declaredBytes: 64 * mebibyte });
    go();
    expect(answer).toMatchObject({ status: 400, fault: 'ImageTooLarge' });
    expect(answer.body).toMatch(
      /^Saving stream failed: effective image size is larger than the reported available storage: /,
    );
    expect(await fixture.stagings()).toEqual([]);
  });

  test('a client that hangs up leaves nothing, and the slot is open again', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const { body, go } = stalling(image.subarray(0, mebibyte));
    const hangUp = new AbortController();
    const first = fixture.upload(volumeId, body, { declaredBytes: image.length, signal: hangUp.signal });
    await vi.waitFor(async () => expect(await isRunning(volumeId)).toBe(true), waiting);
    hangUp.abort();
    await expect(first).rejects.toThrow();
    go();
    await vi.waitFor(async () => {
      const { waiting: slots } = await fixture.channel.call('inventory', {});
      expect(slots.some((key) => key.volumeId === volumeId)).toBe(true);
    }, waiting);
    expect(await fixture.stagings()).toEqual([]);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 200 });
    await expectCommitted(volumeId);
  });

  test('a sender that stands still is told so after the limit on silence', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const { body, go } = stalling(image.subarray(0, mebibyte));
    const answer = await fixture.upload(volumeId, body, { declaredBytes: image.length });
    go();
    expect(answer).toMatchObject({ status: 400, fault: 'UploadInterrupted' });
    expect(await fixture.stagings()).toEqual([]);
  });

  test('an image that cannot be taken is 400 and the slot stays open', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const page = Buffer.from(`<!DOCTYPE html><html><body>${'x'.repeat(10_000)}</body></html>`);
    const answer = await fixture.upload(volumeId, page);
    expect(answer).toMatchObject({ status: 400, fault: 'NotADiskImage' });
    expect(answer.body).toContain('Saving stream failed: ');
    expect(await fixture.stagings()).toEqual([]);
    await vi.waitFor(() => {
      const told = fixture.controller.failedUploads.find((one) => one.volumeId === volumeId);
      expect(told).toMatchObject({ attempt: 1, fault: { code: 'NotADiskImage' } });
    }, waiting);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 200 });
    await expectCommitted(volumeId);
  });

  test('a damaged compression is 400', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const packed = gzipSync(image);
    const answer = await fixture.upload(volumeId, packed.subarray(0, packed.length - 2_000));
    expect(answer).toMatchObject({ status: 400, fault: 'CorruptCompression' });
    expect(await fixture.stagings()).toEqual([]);
  });

  test('a wrong checksum is 400 and the slot stays open', async () => {
    const volumeId = await fixture.volume(image.length);
    await fixture.channel.call('upload.open', {
      ...{ volumeId, attempt: 1, sizeBytes: image.length, preallocation: false, checksum: `md5:${'0'.repeat(32)}` },
    });
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 400, fault: 'ChecksumMismatch' });
    expect(await fixture.stagings()).toEqual([]);
  });

  test('a cancel ends it, and the slot is closed', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const { body, go } = stalling(image.subarray(0, mebibyte));
    const running = fixture.upload(volumeId, body, { declaredBytes: image.length });
    await vi.waitFor(async () => expect(await isRunning(volumeId)).toBe(true), waiting);
    await fixture.channel.call('attempt.cancel', { volumeId, attempt: 1, reason: 'enough' });
    expect(await running).toMatchObject({ status: 503, fault: 'Cancelled' });
    go();
    await vi.waitFor(() => {
      expect(fixture.controller.outcomeOf(volumeId, 1)).toMatchObject({ fault: { code: 'Cancelled' } });
    }, waiting);
    expect(await fixture.stagings()).toEqual([]);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 503, fault: 'NotAnUploadTarget' });
  });

  test('the next attempt ends it, and its slot takes the upload', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const { body, go } = stalling(image.subarray(0, mebibyte));
    const running = fixture.upload(volumeId, body, { declaredBytes: image.length });
    await vi.waitFor(async () => expect(await isRunning(volumeId)).toBe(true), waiting);
    await fixture.channel.call('volume.claimFence', { volumeId, attempt: 2, generation: 1 });
    expect(await running).toMatchObject({ status: 503, fault: 'StaleAttempt' });
    go();
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 503 });
    const open = { volumeId, sizeBytes: image.length, preallocation: false };
    await expect(fixture.channel.call('upload.open', { ...open, attempt: 1 })).rejects.toMatchObject({
      code: 'StaleAttempt',
    });
    await fixture.channel.call('upload.open', { ...open, attempt: 2 });
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 200 });
  });

  test('a request that is no HTTP does no harm', async () => {
    const [host, port] = (fixture.worker?.uploadAddress ?? '').split(':');
    const socket = connect({ host, port: Number(port), ...fixture.proxy });
    socket.write('\u0000\u0001 nonsense\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve).resume());
    const volumeId = await fixture.uploadSlot(image.length);
    expect(await fixture.upload(volumeId, image)).toMatchObject({ status: 200 });
  });
});
