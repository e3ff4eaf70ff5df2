// The ledger of a pool: who holds the pool, and what it has promised. The lock is SQLite's exclusive one, taken at open and held for life, so it ends
// with the process however that dies. The promises are rebuilt from the volume records at every open: the records are the truth.
// Nothing else in this process may open ledger.sqlite: closing any descriptor of it would drop the lock (POSIX record locks).
import { readFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import { identityOf, isAlive, ProcessIdentity } from '../runtime/process-identity.ts';
import type { PoolLayout } from './pool-layout.ts';

const ledgerVersion = 1;
const ownerValidator = Compile(ProcessIdentity);
const busy = 5; // SQLITE_BUSY
const unusable = new Set([11, 26]); // SQLITE_CORRUPT, SQLITE_NOTADB

export class PoolLedger {
  readonly #database: DatabaseSync;
  /** What others have promised of the same room; see shared-room.ts. */
  beside: () => number = () => 0;
  /** What the files of the pool took when it was measured last. */
  usedBytes = 0;
  #limitBytes = 0;
  #closed = false;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Takes the pool. A damaged ledger is set aside and made anew, since it only repeats what the records say.
   * @throws Fault PoolInUse naming the process that holds it, NewerVersion
   */
  static async open(layout: PoolLayout): Promise<PoolLedger> {
    const database = await openExclusively(layout);
    const me = identityOf(process.pid);
    if (me !== undefined) await writeDurably(layout.owner, `${JSON.stringify(me)}\n`, 0o644);
    return new PoolLedger(database);
  }

  /** Starts over from what the records say. */
  rebuild(promises: Iterable<{ key: string; bytes: number }>): void {
    this.#database.exec('BEGIN; DELETE FROM promise');
    const insert = this.#database.prepare('INSERT INTO promise (key, bytes) VALUES (?, ?)');
    for (const { key, bytes } of promises) insert.run(key, bytes);
    this.#database.exec('COMMIT');
  }

  /** What all promises together may reach. */
  set limitBytes(bytes: number) {
    this.#limitBytes = bytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Sum of all promises. */
  get promisedBytes(): number {
    const row = this.#database.prepare('SELECT coalesce(sum(bytes), 0) AS bytes FROM promise').get();
    return Number(row?.['bytes'] ?? 0);
  }

  /** What can still be promised. */
  get leftBytes(): number {
    return Math.max(0, this.#limitBytes - this.promisedBytes - this.beside());
  }

  /** Promised, and not yet taken from the room of the file system. */
  get unwrittenBytes(): number {
    return this.#closed ? 0 : Math.max(0, this.promisedBytes - this.usedBytes);
  }

  /**
   * Promises room under a key, in one indivisible step; a promise of the same key is replaced.
   * @throws Fault PoolFull; the former promise stands then
   */
  promise(key: string, bytes: number): void {
    const former = Number(this.#database.prepare('SELECT bytes FROM promise WHERE key = ?').get(key)?.['bytes'] ?? 0);
    const promised = this.promisedBytes;
    const free = Math.max(0, this.#limitBytes - this.beside() - promised + former);
    if (bytes > free) {
      throw new Fault('PoolFull', `${bytes} bytes were asked and ${free} are left to promise`, {
        facts: { askedBytes: bytes, leftBytes: free },
      });
    }
    this.hold(key, bytes);
  }

  /** What is taken already, whether there is room or not. */
  hold(key: string, bytes: number): void {
    this.#database.prepare('INSERT OR REPLACE INTO promise (key, bytes) VALUES (?, ?)').run(key, bytes);
  }

  release(key: string): void {
    this.#database.prepare('DELETE FROM promise WHERE key = ?').run(key);
  }

  /** Gives the pool to whoever comes next. */
  close(): void {
    this.#closed = true;
    this.#database.close();
  }
}

async function openExclusively(layout: PoolLayout): Promise<DatabaseSync> {
  try {
    return lockedDatabase(layout.ledger);
  } catch (error) {
    const code = sqliteCodeOf(error);
    if (code === busy) throw poolInUse(layout, error);
    if (code === undefined || !unusable.has(code)) throw error;
    await rename(layout.ledger, `${layout.ledger}.damaged-${Date.now()}`);
    return lockedDatabase(layout.ledger);
  }
}

function lockedDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    // In exclusive mode the lock of the first transaction is kept until close. Promises need not survive a crash: they are rebuilt.
    database.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; BEGIN EXCLUSIVE');
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
    if (version > ledgerVersion) throw new Fault('NewerVersion', `ledger.sqlite has version ${version}`);
    database.exec('CREATE TABLE IF NOT EXISTS promise (key TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT');
    database.exec(`PRAGMA user_version=${ledgerVersion}; COMMIT`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function poolInUse(layout: PoolLayout, cause: unknown): Fault {
  const pid = holderOf(layout.owner);
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  return new Fault('PoolInUse', `${layout.directory} is held by ${who}`, { cause, facts: { pid: pid ?? 0 } });
}

/** The process that wrote owner.json, if it still lives. */
function holderOf(path: string): number | undefined {
  try {
    const owner: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return ownerValidator.Check(owner) && isAlive(owner) ? owner.pid : undefined;
  } catch {
    return undefined; // only a help for the reader of the message
  }
}

function sqliteCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}
