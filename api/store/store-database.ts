// The SQLite file of the embedded store, as the store's thread uses it: rows of JSON text, written in whole batches. A batch is there
// entirely or not at all, and durable when `apply` returns (WAL, synchronous=FULL). The file is locked for life by its one opener.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Fault, toFault } from '../../domain/fault.ts';

const storeSchemaVersion = 1;

export interface StoreRow {
  collection: string;
  namespace: string;
  name: string;
  version: number;
  text: string;
}

export type StoreOperation =
  | ({ kind: 'put' } & StoreRow)
  | { kind: 'remove'; collection: string; namespace: string; name: string };

export interface StoreDatabase {
  /** Every row, in pieces, so that no single message between threads is large. */
  rows(): Iterable<StoreRow[]>;
  /** Highest version that was ever made durable. */
  version(): number;
  /** @param version highest version of the batch */
  apply(operations: readonly StoreOperation[], version: number): void;
  close(): void;
}

const tables = `
  CREATE TABLE IF NOT EXISTS schemaVersion (version INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS objects (
    collection TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (collection, namespace, name)
  );
  INSERT OR IGNORE INTO revision (id, version) VALUES (1, 1);
`;

/** SQLite's primary result codes for a file that somebody else holds: SQLITE_BUSY, SQLITE_LOCKED. */
const heldByAnother = new Set([5, 6]);

function isHeld(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return false;
  return typeof error.errcode === 'number' && heldByAnother.has(error.errcode & 0xff);
}

function checkSchemaVersion(database: DatabaseSync, path: string): void {
  const found = database.prepare('SELECT version FROM schemaVersion').get()?.['version'];
  if (found === undefined) {
    database.prepare('INSERT INTO schemaVersion (version) VALUES (?)').run(storeSchemaVersion);
    return;
  }
  if (typeof found !== 'number' || found > storeSchemaVersion) {
    throw new Fault('NewerVersion', `${path} has schema version ${String(found)}; this is ${storeSchemaVersion}`);
  }
}

function prepareFile(database: DatabaseSync, path: string): void {
  database.exec(
    'PRAGMA busy_timeout=0; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;',
  );
  // Taking a write lock at once, in exclusive mode, keeps every other process out until close.
  database.exec('BEGIN IMMEDIATE');
  try {
    database.exec(tables);
    checkSchemaVersion(database, path);
    database.exec('COMMIT');
  } catch (error) {
    rollBack(database, error);
    throw error;
  }
}

/** SQLite rolls back by itself after some errors, such as a full disk. @throws Fault of the cause, also where rolling back fails */
function rollBack(database: DatabaseSync, cause: unknown): void {
  if (!database.isTransaction) return;
  try {
    database.exec('ROLLBACK');
  } catch (error) {
    const { code, detail } = toFault(cause);
    const both = new AggregateError([cause, error], 'a transaction and its rollback failed');
    throw new Fault(code, `${detail}; rolling back failed too: ${toFault(error).detail}`, { cause: both });
  }
}

/** Characters of the texts in one message between threads. */
const largestPiece = 1024 * 1024;

function* rowsOf(database: DatabaseSync): Iterable<StoreRow[]> {
  let piece: StoreRow[] = [];
  let length = 0;
  for (const row of database.prepare('SELECT collection, namespace, name, version, text FROM objects').iterate()) {
    piece.push({
      collection: String(row['collection']),
      namespace: String(row['namespace']),
      name: String(row['name']),
      version: Number(row['version']),
      text: String(row['text']),
    });
    length += piece.at(-1)?.text.length ?? 0;
    if (length > largestPiece) {
      yield piece;
      piece = [];
      length = 0;
    }
  }
  yield piece;
}

/** @throws Fault NewerVersion, AlreadyRunning (another process has it open), NoSpace, PermissionDenied, Internal; leaves the file as it was */
export function openStoreDatabase(path: string): StoreDatabase {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path);
  try {
    prepareFile(database, path);
  } catch (error) {
    database.close();
    if (isHeld(error)) throw new Fault('AlreadyRunning', `${path} is open in another process`, { cause: error });
    throw toFault(error);
  }
  const put = database.prepare(
    'INSERT OR REPLACE INTO objects (collection, namespace, name, version, text) VALUES (?, ?, ?, ?, ?)',
  );
  const remove = database.prepare('DELETE FROM objects WHERE collection = ? AND namespace = ? AND name = ?');
  const setVersion = database.prepare('UPDATE revision SET version = ? WHERE id = 1');
  return {
    rows: () => rowsOf(database),
    version: () => Number(database.prepare('SELECT version FROM revision').get()?.['version'] ?? 1),
    apply: (operations, version) => {
      database.exec('BEGIN IMMEDIATE');
      try {
        for (const operation of operations) {
          const { collection, namespace, name } = operation;
          if (operation.kind === 'put') put.run(collection, namespace, name, operation.version, operation.text);
          else remove.run(collection, namespace, name);
        }
        setVersion.run(version);
        database.exec('COMMIT');
      } catch (error) {
        rollBack(database, error);
        throw toFault(error);
      }
    },
    close: () => database.close(),
  };
}
