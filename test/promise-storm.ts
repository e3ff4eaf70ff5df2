// A process that asks a pool for more volumes than it can hold, many at once, each of them several times, and deletes some: until all are settled or it is
// killed. Tells after each answer how much is promised. Started by volumes/pool-promises.test.ts: DIRECTORY SEED VOLUMES.
import { createHash } from 'node:crypto';
import { Fault } from '../domain/fault.ts';
import { volumeIdOf } from '../domain/volume-record.ts';
import { Pool } from '../volumes/pool.ts';
import { reserveOf, silentLogger } from './temporary-pool.ts';

const [directory = '', seed = '', count = ''] = process.argv.slice(2);
const volumes = Number(count);

const pool = await Pool.open({ directory, create: true, overcommit: 1, logger: silentLogger });
// The limit is that of this run: others write to the same disk meanwhile.
const { capacityBytes: limitBytes } = await pool.usage();
/** About two thirds of them fit. */
const sizeBytes = Math.floor(limitBytes / Math.ceil((volumes * 2) / 3));
let made = 0;

function idOf(index: number) {
  // The same volumes in every run, so that a run finds those of the one before it.
  const hash = createHash('sha256').update(`volume ${index}`).digest('hex');
  return volumeIdOf(
    [hash.slice(0, 8), hash.slice(8, 12), `4${hash.slice(13, 16)}`, `a${hash.slice(17, 20)}`, hash.slice(20, 32)].join(
      '-',
    ),
  );
}

async function ask(index: number): Promise<void> {
  const id = idOf(index);
  try {
    await pool.reserve(reserveOf(id, pool.get(id)?.sizeBytes ?? sizeBytes));
    made += 1;
  } catch (error) {
    if (!(error instanceof Fault && ['PoolFull', 'AlreadyExists'].includes(error.code))) throw error;
  }
  const reservedBytes = limitBytes - pool.leftBytes;
  process.stdout.write(`${JSON.stringify({ limitBytes, reservedBytes, made })}\n`);
}

for (let wave = 0; wave < 4; wave += 1) {
  const order = Array.from({ length: volumes }, (_, index) => (index * 7 + Number(seed) * 13 + wave) % volumes);
  await Promise.all([...order, ...order.slice(0, volumes / 4)].map(ask));
  if (wave < 3) await Promise.all(order.slice(0, volumes / 3).map((index) => pool.delete(idOf(index))));
}
process.stdout.write(`${JSON.stringify({ limitBytes, reservedBytes: limitBytes - pool.leftBytes, made })}\n`);
await pool.close();
