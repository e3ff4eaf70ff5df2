// A worker as a whole, against real Redis, TLS, pool, qemu-img and a source that can be held back.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ImportInputs } from '../jobs/attempt-inputs.ts';
import type { HttpInputs } from '../jobs/source-inputs.ts';
import { WorkerRegistry } from '../jobs/worker-registry.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { WorkerFixture } from '../test/worker-fixture.ts';

const run = promisify(execFile);
const mebibyte = 1024 * 1024;
const waiting = { timeout: 20_000, interval: 20 };

let fixture: WorkerFixture;
let source: Server;
let url: string;
/** Answers that were begun and are held open after their first half. */
let held: ServerResponse[];
let requests: number;
let image: Buffer;

beforeEach(async () => {
  held = [];
  requests = 0;
  image = Buffer.concat([randomBytes(2 * mebibyte), Buffer.alloc(2 * mebibyte), randomBytes(mebibyte)]);
  source = createServer((request, response) => {
    requests += 1;
    response.setHeader('content-length', image.length);
    if (request.url !== '/slow') response.end(image);
    else {
      response.write(image.subarray(0, image.length / 2));
      held.push(response);
    }
  });
  const { port } = await listenOn(source, { host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${port}`;
  fixture = await WorkerFixture.start();
  await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
});
afterEach(async () => {
  await fixture.close();
  await closeServer(source);
});

function httpInputs(path = '/disk.img'): ImportInputs {
  const http: HttpInputs = {
    ...{ kind: 'http', url: url + path, headers: [], certificates: [], insecureSkipVerify: false },
  };
  return { operation: 'import', source: http, sizeBytes: image.length, preallocation: false };
}

async function importJob(path?: string): Promise<string> {
  const volumeId = await fixture.volume(image.length);
  fixture.controller.inputs.set(`${volumeId}.1`, httpInputs(path));
  await fixture.enqueue('import', volumeId);
  return volumeId;
}

async function slowImport(): Promise<string> {
  const volumeId = await importJob('/slow');
  await vi.waitFor(() => expect(held.length).toBeGreaterThan(0), waiting);
  await vi.waitFor(async () => expect(await fixture.stagings()).toHaveLength(1), waiting);
  return volumeId;
}

async function outcomeOf(volumeId: string, attempt = 1) {
  await vi.waitFor(() => expect(fixture.controller.outcomeOf(volumeId, attempt)).toBeDefined(), waiting);
  return fixture.controller.outcomeOf(volumeId, attempt);
}

describe('a job', () => {
  test('fills the volume and tells its report', async () => {
    const volumeId = await importJob();
    expect(await outcomeOf(volumeId)).toMatchObject({
      ok: true,
      report: { format: 'raw', fetchedBytes: image.length },
    });
    expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
    expect(await fixture.stagings()).toEqual([]);
    expect(fixture.controller.progress.some((told) => told.volumeId === volumeId)).toBe(true);
    const { volumes, running } = await fixture.channel.call('inventory', {});
    expect(volumes).toMatchObject([{ volumeId, state: 'complete', fence: 1 }]);
    expect(running).toEqual([]);
  });

  test('of a volume that is complete tells the stored report and fetches nothing', async () => {
    const volumeId = await importJob();
    await outcomeOf(volumeId);
    const before = requests;
    fixture.controller.outcomes.length = 0;
    // One of the same id that is about to end would be taken for this one.
    await vi.waitFor(async () => expect(await fixture.queues.has('n1', { volumeId, attempt: 1 })).toBe(false), waiting);
    await fixture.enqueue('import', volumeId);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true });
    expect(requests).toBe(before);
  });

  test('of an attempt that lost the volume is dropped', async () => {
    const volumeId = await fixture.volume(image.length, 3);
    await fixture.enqueue('import', volumeId, 2);
    await vi.waitFor(async () => expect(await fixture.queues.has('n1', { volumeId, attempt: 2 })).toBe(false), waiting);
    expect(fixture.controller.outcomes).toEqual([]);
    expect(requests).toBe(0);
    expect(await fixture.stagings()).toEqual([]);
  });

  test('that fails tells its fault and leaves nothing', async () => {
    const volumeId = await fixture.volume(mebibyte);
    fixture.controller.inputs.set(`${volumeId}.1`, { ...httpInputs(), sizeBytes: mebibyte });
    await fixture.enqueue('import', volumeId);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: false, fault: { code: 'ImageTooLarge', retryable: false } });
    expect(await fixture.stagings()).toEqual([]);
    await expect(stat(fixture.diskOf(volumeId))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('clones a volume', async () => {
    const sourceVolumeId = await importJob();
    await outcomeOf(sourceVolumeId);
    const volumeId = await fixture.volume(image.length);
    fixture.controller.inputs.set(`${volumeId}.1`, {
      ...{ operation: 'clone', sourceVolumeId, sizeBytes: image.length, preallocation: false },
    });
    await fixture.enqueue('clone', volumeId);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true, report: { format: 'clone' } });
    expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
    const digest = await fixture.channel.call('volume.digest', { volumeId, sha256: true });
    expect(digest.sha256).toBe(`sha256:${createHash('sha256').update(image).digest('hex')}`);
  });
});

describe('ending an attempt', () => {
  test('a cancel takes less than five seconds, leaves nothing and is told', async () => {
    const volumeId = await slowImport();
    const started = performance.now();
    await fixture.channel.call('attempt.cancel', { volumeId, attempt: 1, reason: 'enough' });
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: false, fault: { code: 'Cancelled', detail: 'enough' } });
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(await fixture.stagings()).toEqual([]);
    await fixture.channel.call('attempt.cancel', { volumeId, attempt: 1, reason: 'again' });
    expect(fixture.controller.outcomes).toHaveLength(1);
  });

  test('the next attempt ends it without a result', async () => {
    const volumeId = await slowImport();
    await fixture.channel.call('volume.claimFence', { volumeId, attempt: 2, generation: 1 });
    expect(await fixture.stagings()).toEqual([]);
    expect((await fixture.channel.call('inventory', {})).running).toEqual([]);
    expect(fixture.controller.outcomes).toEqual([]);
    fixture.controller.inputs.set(`${volumeId}.2`, httpInputs());
    await fixture.enqueue('import', volumeId, 2);
    expect(await outcomeOf(volumeId, 2)).toMatchObject({ ok: true });
  });

  test('deleting the volume ends it and removes everything', async () => {
    const volumeId = await slowImport();
    await fixture.channel.call('volume.delete', { volumeId });
    await fixture.channel.call('volume.delete', { volumeId });
    expect(await fixture.stagings()).toEqual([]);
    expect((await fixture.channel.call('inventory', {})).volumes).toEqual([]);
    await expect(stat(join(fixture.poolDirectory, 'volumes', volumeId))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a lost lock aborts it with Interrupted and the next attempt goes on', async () => {
    const volumeId = await slowImport();
    await fixture.redis.flushall();
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: false, fault: { code: 'Interrupted', retryable: true } });
    expect(await fixture.stagings()).toEqual([]);
    await fixture.channel.call('volume.claimFence', { volumeId, attempt: 2, generation: 1 });
    fixture.controller.inputs.set(`${volumeId}.2`, httpInputs());
    await fixture.enqueue('import', volumeId, 2);
    expect(await outcomeOf(volumeId, 2)).toMatchObject({ ok: true });
  });

  test('a stop lets it end within the drain, else aborts it, tells it and leaves nothing', async () => {
    const volumeId = await slowImport();
    await fixture.worker?.stop();
    fixture.worker = undefined;
    expect(fixture.controller.outcomeOf(volumeId, 1)).toMatchObject({ ok: false, fault: { code: 'Interrupted' } });
    expect(await fixture.stagings()).toEqual([]);
    expect(await new WorkerRegistry(fixture.redis).lookup('n1')).toBeUndefined();
  });
});

describe('the channel', () => {
  test('a result waits for the controller to come back', async () => {
    const volumeId = await slowImport();
    const address = fixture.config.channelAddress;
    await fixture.controller.close();
    for (const response of held) response.end(image.subarray(image.length / 2));
    await vi.waitFor(async () => expect(await fixture.stagings()).toEqual([]), waiting);
    expect(fixture.controller.outcomes).toEqual([]);
    await fixture.controller.listen(Number(address.split(':')[1]));
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true });
    expect(fixture.controller.hellos).toBe(2);
  });
});

describe('Redis', () => {
  test('a restart holds nothing up for long', async () => {
    await fixture.redisServer.halt();
    await fixture.redisServer.resume();
    const volumeId = await vi.waitFor(() => importJob(), waiting);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true });
    const registry = new WorkerRegistry(fixture.redis);
    await vi.waitFor(async () => expect(await registry.lookup('n1')).toBeDefined(), waiting);
  });
});

describe('an upload that needs conversion', () => {
  async function qcow2(): Promise<Buffer> {
    const raw = join(fixture.directory, 'source.raw');
    const path = join(fixture.directory, 'source.qcow2');
    await writeFile(raw, image);
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
    return readFile(path);
  }

  test('is converted by a job of the same attempt; the plain path answers after the commit', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const answer = await fixture.upload(volumeId, await qcow2());
    expect(answer).toEqual({ status: 200, body: '', fault: undefined });
    expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
    expect(fixture.controller.received).toMatchObject([{ volumeId, attempt: 1 }]);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true, report: { format: 'qcow2', strategy: 'staged' } });
    expect(await fixture.stagings()).toEqual([]);
  });

  test('the async path answers when the bytes are durable', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const answer = await fixture.upload(volumeId, await qcow2(), { path: '/v1beta1/upload-async' });
    expect(answer.status).toBe(200);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true });
    expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
  });

  test('is not lost when the worker stops before its conversion', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    const inputs = fixture.controller.inputs.get(`${volumeId}.1`);
    fixture.controller.inputs.delete(`${volumeId}.1`);
    const body = await qcow2();
    // Without inputs the job fails with a fault that may pass: the upload stays.
    await fixture.upload(volumeId, body, { path: '/v1beta1/upload-async' });
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: false, fault: { code: 'Internal' } });
    await fixture.worker?.stop();
    await fixture.startWorker();
    await vi.waitFor(() => expect(fixture.controller.hellos).toBe(2), waiting);
    expect((await fixture.channel.call('inventory', {})).received).toMatchObject([{ volumeId, attempt: 1 }]);
    fixture.controller.outcomes.length = 0;
    if (inputs !== undefined) fixture.controller.inputs.set(`${volumeId}.1`, inputs);
    await fixture.enqueue('convert', volumeId);
    expect(await outcomeOf(volumeId)).toMatchObject({ ok: true });
    expect((await readFile(fixture.diskOf(volumeId))).equals(image)).toBe(true);
  });

  test('one that failed for now is not told to a client that waits, unless it is given up', async () => {
    const volumeIds = [await fixture.uploadSlot(image.length), await fixture.uploadSlot(image.length)];
    const [passing = '', givenUp = ''] = volumeIds;
    const inputs = fixture.controller.inputs.get(`${passing}.1`);
    for (const volumeId of volumeIds) fixture.controller.inputs.delete(`${volumeId}.1`);
    const body = await qcow2();
    const answers = volumeIds.map((volumeId) => fixture.upload(volumeId, body));
    let answered = 0;
    for (const answer of answers) void answer.then(() => (answered += 1));
    for (const volumeId of volumeIds) {
      expect(await outcomeOf(volumeId)).toMatchObject({ ok: false, fault: { code: 'Internal' } });
    }
    expect(answered).toBe(0);
    if (inputs !== undefined) fixture.controller.inputs.set(`${passing}.1`, inputs);
    await vi.waitFor(async () => {
      await fixture.enqueue('convert', passing);
      expect(answered).toBe(1);
    }, waiting);
    expect(await answers[0]).toEqual({ status: 200, body: '', fault: undefined });
    await fixture.channel.call('volume.claimFence', { volumeId: givenUp, attempt: 2, generation: 1 });
    expect(await answers[1]).toMatchObject({ status: 500, fault: 'Internal' });
    expect(await fixture.stagings()).toEqual([]);
  });

  test('a cancel takes the received bytes away', async () => {
    const volumeId = await fixture.uploadSlot(image.length);
    fixture.controller.inputs.delete(`${volumeId}.1`);
    await fixture.upload(volumeId, await qcow2(), { path: '/v1beta1/upload-async' });
    await outcomeOf(volumeId);
    fixture.controller.outcomes.length = 0;
    await fixture.channel.call('attempt.cancel', { volumeId, attempt: 1, reason: 'enough' });
    expect(await outcomeOf(volumeId)).toMatchObject({ fault: { code: 'Cancelled' } });
    expect(await fixture.stagings()).toEqual([]);
  });
});
