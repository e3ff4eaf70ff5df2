// News of the volumes of a real pool, over a real channel whose other end keeps what it is told.
import { duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Fault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import { Channel } from '../jobs/channel.ts';
import { type ControllerCalls, controllerCalls, type WorkerCalls, workerCalls } from '../jobs/channel-protocol.ts';
import { createLogger } from '../runtime/logger.ts';
import { newVolumeId, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import type { Pool } from '../volumes/pool.ts';
import type { Pools } from '../volumes/pools.ts';
import type { ChannelClient } from './channel-client.ts';
import { VolumeNews, type VolumeNewsOptions } from './volume-news.ts';

type Ask = ChannelClient['ask'];

const waiting = { timeout: 10_000, interval: 5 };

let place: TemporaryPool;
let pools: Pools;
let pool: Pool;
/** One line for each thing told: the volume and how it is. */
let told: string[];
let logged: string[];
/** What the controller does before it answers a line. */
let beforeAnswer: (line: string) => Promise<void>;
let ends: Channel<ControllerCalls, WorkerCalls>;
let news: VolumeNews;

beforeEach(async () => {
  place = await TemporaryPool.make();
  pools = await place.openAll();
  pool = pools.named('default');
  told = [];
  logged = [];
  beforeAnswer = async () => undefined;
  ends = channelToController();
  // Safe: the table of the channel gives the same static type, which TypeScript does not see through the generic name.
  const ask = ((name, params, signal) => ends.call(name, params, { signal })) as Ask;
  news = newsOf({ pools, channel: { ask } });
});
afterEach(async () => {
  await news.stop();
  ends.close();
  await place[Symbol.asyncDispose]();
});

function newsOf(options: Omit<VolumeNewsOptions, 'logger'>): VolumeNews {
  const logger = createLogger({ logLevel: 'warn' }, 'worker', { write: (line) => logged.push(line) });
  return new VolumeNews({ ...options, logger });
}

function channelToController(): Channel<ControllerCalls, WorkerCalls> {
  const logger = createLogger({ logLevel: 'silent' }, 'test');
  const [near, far] = duplexPair();
  const controller = new Channel({ socket: far, asks: workerCalls, answers: controllerCalls, logger });
  const take = async (line: string) => {
    told.push(line);
    await beforeAnswer(line);
    return {};
  };
  controller.handle('volume.changed', ({ volume }) => take(`${volume.volumeId} ${volume.state}`));
  controller.handle('volume.gone', ({ volumeId }) => take(`${volumeId} gone`));
  return new Channel({ socket: near, asks: controllerCalls, answers: workerCalls, logger });
}

/** Makes an empty volume. */
async function reserve(): Promise<VolumeId> {
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, 1024));
  return id;
}

/** Keeps the controller from answering what it is told next. @returns what lets it answer */
async function holdTelling(): Promise<{ held: VolumeId; release: () => void }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  beforeAnswer = () => promise;
  const held = await reserve();
  await hears(`${held} empty`);
  return { held, release: resolve };
}

async function hears(...lines: string[]): Promise<void> {
  await vi.waitFor(() => expect(told).toEqual(lines), waiting);
}

describe('the controller', () => {
  test('hears of a volume that was made, that was declared plain and that was deleted', async () => {
    const id = await reserve();
    await hears(`${id} empty`);
    await pool.markPlain(id);
    await hears(`${id} empty`, `${id} plain`);
    await pool.delete(id);
    await hears(`${id} empty`, `${id} plain`, `${id} gone`);
  });

  test('hears nothing of what it had attempts do', async () => {
    const id = await reserve();
    await hears(`${id} empty`);
    await pool.claimFence(id, { attempt: 1, generation: 1 });
    const other = await reserve();
    await hears(`${id} empty`, `${other} empty`);
  });

  test('hears once, and the last word, of a volume that changed many times while another was told', async () => {
    const { held, release } = await holdTelling();
    const [plain, gone] = [await reserve(), await reserve()];
    await pool.markPlain(plain);
    await pool.markPlain(gone);
    await pool.delete(gone);
    release();
    await hears(`${held} empty`, `${plain} plain`, `${gone} gone`);
  });

  test('hears of a volume again that changes while it is told', async () => {
    const { held, release } = await holdTelling();
    await pool.markPlain(held);
    release();
    await hears(`${held} empty`, `${held} plain`);
  });
});

test('news that the controller refuses is logged, and later news is told', async () => {
  beforeAnswer = async () => {
    throw new Fault('Conflict', 'not this one');
  };
  const refused = await reserve();
  await vi.waitFor(() => expect(logged).toHaveLength(1), waiting);
  expect(logged[0]).toContain(refused);
  expect(logged[0]).toContain('"code":"Conflict"');
  beforeAnswer = async () => undefined;
  const other = await reserve();
  await hears(`${refused} empty`, `${other} empty`);
});

describe('the end', () => {
  test('comes although the controller does not answer, and is no failure', async () => {
    await holdTelling();
    await reserve();
    await news.stop();
    expect(told).toHaveLength(1);
    expect(logged).toEqual([]);
  });

  test.each(['while nothing was told', 'while something was told'])('is final where it comes %s', async (when) => {
    if (when === 'while something was told') await holdTelling();
    const before = told.length;
    await news.stop();
    beforeAnswer = async () => undefined;
    await reserve();
    // What was sent before this answer would have been heard before it.
    await ends.call('volume.gone', { volumeId: 'last' });
    expect(told.slice(before)).toEqual(['last gone']);
  });
});

test.each(Array.from({ length: 12 }, (_, steps) => steps))(
  'a change that comes %i steps after an answer is told',
  async (steps) => {
    const id = newVolumeId();
    const first = Promise.withResolvers<void>();
    const asked: string[] = [];
    const ask = (async (name: string) => {
      asked.push(name);
      if (asked.length === 1) await first.promise;
      return {};
      // Safe: both calls of news are answered with nothing in particular.
    }) as Ask;
    const listeners: Parameters<Pool['onChange']>[0][] = [];
    const racing = newsOf({
      pools: { find: () => undefined, onChange: (each) => void listeners.push(each) },
      channel: { ask },
    });
    listeners[0]?.(id, undefined);
    first.resolve();
    for (let step = 0; step < steps; step += 1) await Promise.resolve();
    listeners[0]?.(id, undefined);
    await vi.waitFor(() => expect(asked).toEqual(['volume.gone', 'volume.gone']), waiting);
    await racing.stop();
  },
);
