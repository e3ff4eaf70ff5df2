// A whole worker that fetches bodies from the socket of a proxy: every end leaves what it should, and the slot open where nothing was kept.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CertificateAuthority } from '../../runtime/certificates.ts';
import { BodySocket } from '../../uploadproxy/body-socket.ts';
import { WorkerFixture } from '../worker-fixture.ts';

const mebibyte = 1_048_576;
const waiting = { timeout: 20_000, interval: 10 };
const image = Buffer.concat([randomBytes(3 * mebibyte), Buffer.alloc(2 * mebibyte), randomBytes(mebibyte + 512)]);
const none = Buffer.alloc(0);

let fixture: WorkerFixture;
let bodies: BodySocket;
beforeAll(async () => {
  fixture = await WorkerFixture.start({ idleTimeoutMs: 800 });
  await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
  const listening = await BodySocket.listen(fixture.runDirectory);
  if (listening === undefined) throw new Error('the run directory is not private');
  bodies = listening;
});
afterAll(async () => {
  await bodies.close();
  await fixture.close();
});

/** Asks the worker to fetch a body, which `give` gives. */
async function hand(volumeId: string, give: (worker: Socket) => void, declaredBytes = image.length) {
  const offered = bodies.offer();
  void offered.taken.then(give);
  const headers = { 'longshore-body': offered.header, 'longshore-body-bytes': String(declaredBytes) };
  const answer = await fixture.upload(volumeId, none, { headers });
  offered.withdraw();
  return answer;
}

const whole = (worker: Socket): void => void worker.end(image);

async function expectNothingButTheSlot(volumeId: string): Promise<void> {
  expect(await fixture.stagings()).toEqual([]);
  expect(await hand(volumeId, whole)).toMatchObject({ status: 200 });
  expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
  await vi.waitFor(() => expect(fixture.controller.outcomeOf(volumeId, 1)).toMatchObject({ ok: true }), waiting);
}

describe('a body that the worker fetches', () => {
  test('is committed', async () => {
    await expectNothingButTheSlot(await fixture.uploadSlot(image.length));
  });

  test('is not waited for while the disk is behind, but given up when its sender stands still', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const answer = await hand(volumeId, (worker) => void worker.write(image.subarray(0, 100_000)));
    expect(answer).toMatchObject({ status: 400, fault: 'UploadInterrupted' });
    await expectNothingButTheSlot(volumeId);
  });

  test.each([
    ['ends early', 'UploadInterrupted', (worker: Socket) => void worker.end(image.subarray(0, 2 * mebibyte))],
    ['breaks off', 'UploadInterrupted', (worker: Socket) => void worker.destroy()],
    ['is longer than was told', 'SourceTooLong', (worker: Socket) => void worker.end(Buffer.concat([image, image]))],
  ])('that %s leaves nothing', async (_case, fault, give) => {
    const volumeId = await fixture.uploadSlot(image.length);
    expect(await hand(volumeId, give)).toMatchObject({ status: 400, fault });
    await expectNothingButTheSlot(volumeId);
  });

  test('that nobody gives leaves nothing', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const [socketName = ''] = bodies.offer().header.split(':');
    for (const place of [`${socketName}:${'0'.repeat(32)}`, `bodies-${'0'.repeat(16)}.sock:${'0'.repeat(32)}`]) {
      const headers = { 'longshore-body': place, 'longshore-body-bytes': '5' };
      const answer = await fixture.upload(volumeId, none, { headers });
      expect(answer).toMatchObject({ status: 400, fault: 'UploadInterrupted' });
    }
    await expectNothingButTheSlot(volumeId);
  });

  test('is dialled only by its name in the directory', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    for (const place of [`../bodies.sock:${'0'.repeat(32)}`, 'redis.sock:0', '']) {
      const answer = await fixture.upload(volumeId, none, { headers: { 'longshore-body': place } });
      expect(answer).toMatchObject({ status: 400, fault: 'MalformedRequest' });
    }
    await expectNothingButTheSlot(volumeId);
  });

  test('is fetched for nobody but the proxy', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const authority = await CertificateAuthority.openOrCreate(`${fixture.directory}/pki`);
    const tls = await authority.issue({ name: 'other', cn: 'somebody', hosts: [], usages: ['client'] });
    const offered = bodies.offer();
    const dialled = vi.fn();
    void offered.taken.then(dialled);
    const headers = { 'longshore-body': offered.header, 'longshore-body-bytes': String(image.length) };
    expect(await fixture.upload(volumeId, none, { headers, tls })).toMatchObject({ status: 401 });
    expect(dialled).not.toHaveBeenCalled();
    await expectNothingButTheSlot(volumeId);
  });

  test('that a cancel ends is let go', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const closed = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const running = hand(volumeId, (worker) => {
      worker.once('close', () => closed.resolve());
      worker.write(image.subarray(0, mebibyte), () => started.resolve());
    });
    await started.promise;
    await fixture.channel.call('volume.claimFence', { volumeId, attempt: 2, generation: 1 });
    expect(await running).toMatchObject({ status: 503, fault: 'StaleAttempt' });
    await closed.promise;
    expect(await fixture.stagings()).toEqual([]);
  });
});
