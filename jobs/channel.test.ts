import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectPlain, createServer as createPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { CertificateAuthority, type TlsPair, workerName } from '../runtime/certificates.ts';
import { listenOn } from '../runtime/listen.ts';
import { createLogger } from '../runtime/logger.ts';
import { Channel } from './channel.ts';
import { nodeOfCertificate } from './channel-peer.ts';
import { type ControllerCalls, controllerCalls, type WorkerCalls, workerCalls } from './channel-protocol.ts';

const logger = createLogger({ logLevel: 'silent' }, 'test');
const attempt = { volumeId: 'pvc-1', attempt: 1 };
const ends: (() => void)[] = [];

let directory: string;
let server: TlsPair;
let worker: TlsPair;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-channel-'));
  const authority = await CertificateAuthority.openOrCreate(directory);
  server = await authority.issue({ name: 'api', cn: 'api', hosts: ['127.0.0.1'], usages: ['server'] });
  worker = await authority.issue({ name: 'worker', cn: workerName('n1'), hosts: [], usages: ['client'] });
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Two sockets of one TLS connection: the controller's and the worker's. */
async function tlsPair(): Promise<{ controllerSocket: TLSSocket; workerSocket: TLSSocket }> {
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: true });
  const { port } = await listenOn(listener, { host: '127.0.0.1', port: 0 });
  const accepted = once(listener, 'secureConnection');
  const workerSocket = connect({ host: '127.0.0.1', port, ...worker });
  const [controllerSocket] = await accepted;
  ends.push(() => {
    workerSocket.destroy();
    controllerSocket.destroy();
    listener.close();
  });
  return { controllerSocket, workerSocket };
}

interface Limits {
  licence?: { assertHeld(): void };
  keepaliveMs?: number;
  callTimeoutMs?: number;
  largestMessageBytes?: number;
}

async function channelPair(limits: Limits = {}) {
  const { controllerSocket, workerSocket } = await tlsPair();
  const controller = new Channel<WorkerCalls, ControllerCalls>({
    ...{ socket: controllerSocket, asks: workerCalls, answers: controllerCalls, logger, ...limits },
  });
  const atWorker = new Channel<ControllerCalls, WorkerCalls>({
    ...{ socket: workerSocket, asks: controllerCalls, answers: workerCalls, logger, lost: 'ServiceUnreachable' },
  });
  ends.push(() => {
    controller.close();
    atWorker.close();
  });
  return { controller, worker: atWorker, controllerSocket, workerSocket };
}

describe('the channel', () => {
  test('the certificate names the node', async () => {
    const { controllerSocket } = await tlsPair();
    expect(nodeOfCertificate(controllerSocket.getPeerCertificate())).toBe('n1');
  });

  test('calls go both ways', async () => {
    const { controller, worker } = await channelPair();
    controller.handle('attempt.inputs', async () => ({
      operation: 'import',
      source: { kind: 'blank' },
      sizeBytes: 5,
      preallocation: false,
    }));
    worker.handle('doctor', async () => ({ findings: [], faults: [] }));
    expect(await worker.call('attempt.inputs', attempt)).toMatchObject({ operation: 'import', sizeBytes: 5 });
    expect(await controller.call('doctor', {})).toEqual({ findings: [], faults: [] });
  });

  test('a fault arrives as the fault it was', async () => {
    const { controller, worker } = await channelPair();
    controller.handle('attempt.inputs', async () => {
      throw new Fault('StaleAttempt', 'attempt 2 owns it');
    });
    const asked = worker.call('attempt.inputs', attempt);
    await expect(asked).rejects.toMatchObject({ code: 'StaleAttempt', detail: 'attempt 2 owns it' });
  });

  test('who has lost its licence neither asks nor answers, and lets the peer go to who has it', async () => {
    let isHeld = true;
    const assertHeld = () => {
      if (!isHeld) throw new Fault('Interrupted', 'another leads');
    };
    let answered = 0;
    const pair = async () => {
      isHeld = true;
      const { controller, worker } = await channelPair({ licence: { assertHeld } });
      controller.handle('attempt.inputs', async () => {
        answered += 1;
        return { operation: 'import', source: { kind: 'blank' }, sizeBytes: 5, preallocation: false };
      });
      worker.handle('doctor', async () => {
        answered += 1;
        return { findings: [], faults: [] };
      });
      await worker.call('attempt.inputs', attempt);
      await controller.call('doctor', {});
      expect(answered).toBe(2);
      isHeld = false;
      return { controller, worker };
    };
    const asked = await pair();
    await expect(asked.worker.call('attempt.inputs', attempt)).rejects.toMatchObject({ code: 'ServiceUnreachable' });
    expect(await asked.controller.closed).toMatchObject({ code: 'Interrupted' });
    answered = 0;
    const asking = await pair();
    await expect(asking.controller.call('doctor', {})).rejects.toMatchObject({ code: 'Interrupted' });
    expect(await asking.worker.closed).toMatchObject({ code: 'ServiceUnreachable' });
    expect(answered).toBe(2);
  });

  test('what does not fit the schema is refused at both ends', async () => {
    const { controller, worker } = await channelPair();
    let asked = 0;
    controller.handle('attempt.inputs', async () => {
      asked += 1;
      return { operation: 'import', source: { kind: 'blank' }, sizeBytes: 0, preallocation: false };
    });
    const bad = { ...attempt, attempt: 0 };
    await expect(worker.call('attempt.inputs', bad)).rejects.toMatchObject({ code: 'MalformedRequest' });
    expect(asked).toBe(0);
    await expect(worker.call('attempt.inputs', attempt)).rejects.toMatchObject({ code: 'MalformedRequest' });
    expect(asked).toBe(1);
  });

  test('a call that this version does not know is NewerVersion', async () => {
    const { worker } = await channelPair();
    await expect(worker.call('attempt.inputs', attempt)).rejects.toMatchObject({ code: 'NewerVersion' });
  });

  test('a call that is not answered times out, an aborted one ends at once', async () => {
    const { controller, worker } = await channelPair();
    controller.handle('attempt.inputs', () => new Promise(() => undefined));
    const late = worker.call('attempt.inputs', attempt, { timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: 'TimedOut' });
    const abort = new AbortController();
    const aborted = worker.call('attempt.inputs', attempt, { signal: abort.signal });
    abort.abort(new Fault('Cancelled', 'enough'));
    await expect(aborted).rejects.toMatchObject({ code: 'Cancelled' });
  });

  test('who answers hears that nobody waits any longer: aborted, timed out, or at the end of the channel', async () => {
    const { controller, worker } = await channelPair();
    const heard: string[] = [];
    const begun = vi.fn();
    controller.handle('attempt.inputs', (_asked, signal) => {
      begun();
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener('abort', () => {
        heard.push(signal.reason.code);
        reject(signal.reason);
      });
      return promise;
    });
    const abort = new AbortController();
    const aborted = worker.call('attempt.inputs', attempt, { signal: abort.signal });
    await vi.waitFor(() => expect(begun).toHaveBeenCalledTimes(1));
    abort.abort(new Fault('Interrupted', 'enough'));
    await expect(aborted).rejects.toMatchObject({ code: 'Interrupted' });
    await vi.waitFor(() => expect(heard).toEqual(['Cancelled']));
    await expect(worker.call('attempt.inputs', attempt, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'TimedOut' });
    await vi.waitFor(() => expect(heard).toEqual(['Cancelled', 'Cancelled']));
    const cut = worker.call('attempt.inputs', attempt);
    await vi.waitFor(() => expect(begun).toHaveBeenCalledTimes(3));
    worker.close();
    await expect(cut).rejects.toMatchObject({ code: 'ServiceUnreachable' });
    await vi.waitFor(() => expect(heard).toEqual(['Cancelled', 'Cancelled', 'NodeLost']));
  });

  test('progress arrives, and is lost without a word at the end', async () => {
    const { controller, worker } = await channelPair();
    const told: unknown[] = [];
    controller.onProgress((progress) => told.push(progress));
    const progress = { ...attempt, step: 'transfer' as const, bytesDone: 1, bytesFetched: 1 };
    worker.sendProgress(progress);
    await vi.waitFor(() => expect(told).toEqual([progress]));
    worker.close();
    worker.sendProgress(progress);
  });

  test('a connection that is cut fails the calls that wait, with the code of this end', async () => {
    const { controller, worker, workerSocket } = await channelPair();
    worker.handle('doctor', () => new Promise(() => undefined));
    controller.handle('attempt.inputs', () => new Promise(() => undefined));
    const fromController = controller.call('doctor', {});
    const fromWorker = worker.call('attempt.inputs', attempt);
    workerSocket.destroy();
    await expect(fromController).rejects.toMatchObject({ code: 'NodeLost' });
    await expect(fromWorker).rejects.toMatchObject({ code: 'ServiceUnreachable' });
    expect((await controller.closed).code).toBe('NodeLost');
    await expect(controller.call('doctor', {})).rejects.toMatchObject({ code: 'NodeLost' });
  });

  test('a peer that went silent is noticed', async () => {
    const { controllerSocket, workerSocket } = await tlsPair();
    workerSocket.pause();
    const controller = new Channel<WorkerCalls, ControllerCalls>({
      ...{ socket: controllerSocket, asks: workerCalls, answers: controllerCalls, logger, keepaliveMs: 30 },
    });
    expect((await controller.closed).code).toBe('NodeLost');
    expect(controllerSocket.destroyed).toBe(true);
  });

  test('a peer that was heard is not asked whether it is alive', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    ends.push(() => vi.useRealTimers());
    const { controllerSocket, workerSocket } = await tlsPair();
    const controller = new Channel<WorkerCalls, ControllerCalls>({
      ...{ socket: controllerSocket, asks: workerCalls, answers: controllerCalls, logger, keepaliveMs: 30 },
    });
    ends.push(() => controller.close());
    let said = '';
    workerSocket.on('data', (chunk) => {
      said += chunk;
    });
    const saidTimes = async (word: string, times: number): Promise<void> => {
      while (said.split(word).length <= times) await once(workerSocket, 'data');
    };
    const question = JSON.stringify({ jsonrpc: '2.0', id: 1, method: '$ping', params: {} });
    for (const round of [1, 2, 3]) {
      workerSocket.write(`Content-Length: ${question.length}\r\n\r\n${question}`);
      await saidTimes('"result":true', round);
      vi.advanceTimersByTime(30);
    }
    expect(said).not.toContain('$ping');
    vi.advanceTimersByTime(30);
    await saidTimes('$ping', 1);
  });

  test('a message over the limit ends the channel before it is read', async () => {
    const { controller, workerSocket } = await channelPair({ largestMessageBytes: 1_000 });
    workerSocket.write('Content-Length: 1001\r\n\r\n');
    expect(await controller.closed).toMatchObject({ code: 'TooLarge' });
  });

  test('what is no frame ends the channel', async () => {
    const { controller, workerSocket } = await channelPair();
    workerSocket.write('x'.repeat(3_000));
    expect(await controller.closed).toMatchObject({ code: 'MalformedRequest' });
  });

  test('frames may come in any pieces', async () => {
    const plain = createPlain();
    const { port } = await listenOn(plain, { host: '127.0.0.1', port: 0 });
    const accepted = once(plain, 'connection');
    const sender: Socket = connectPlain(port, '127.0.0.1');
    const [socket] = await accepted;
    const channel = new Channel<ControllerCalls, WorkerCalls>({
      ...{ socket, asks: controllerCalls, answers: workerCalls, logger },
    });
    ends.push(() => {
      channel.close();
      sender.destroy();
      plain.close();
    });
    channel.handle('doctor', async () => ({ findings: [], faults: [] }));
    const frame = (id: number) => {
      const request = JSON.stringify({ jsonrpc: '2.0', id, method: 'doctor', params: {} });
      return `Content-Length: ${request.length}\r\n\r\n${request}`;
    };
    let answers = '';
    sender.on('data', (chunk) => {
      answers += chunk;
    });
    for (const byte of frame(1)) {
      sender.write(byte);
      await new Promise(setImmediate);
    }
    sender.write(frame(2) + frame(3) + frame(4));
    await vi.waitFor(() => expect(answers.split('findings')).toHaveLength(5));
  });
});
