// One at a time, across processes: SQLite holds a POSIX lock that the kernel drops when its holder ends, however that happens.
import { DatabaseSync } from 'node:sqlite';
import { until } from './until.ts';

/** Waits until nobody holds the lock of that file, then does it. */
export async function alone<Result>(file: string, limitMs: number, action: () => Promise<Result>): Promise<Result> {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    await until(`${file}, which another run holds`, limitMs, () => isTaken(database));
    return await action();
  } finally {
    database.close();
  }
}

function isTaken(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) return false;
    throw error;
  }
}

/** SQLITE_BUSY */
const busy = 5;
