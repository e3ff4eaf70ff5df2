// Entry of the store's thread: owns the SQLite file, so that an fsync never holds up the event loop of the service. Talks in messages;
// answers every batch exactly once, in order.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { faultRecord, toFault } from '../../domain/fault.ts';
import { openStoreDatabase, type StoreDatabase, type StoreOperation, type StoreRow } from './store-database.ts';

export type ThreadRequest = { kind: 'batch'; operations: StoreOperation[]; version: number } | { kind: 'close' };

export type ThreadReply =
  | { kind: 'rows'; rows: StoreRow[] }
  | { kind: 'opened'; version: number }
  | { kind: 'done' }
  | { kind: 'closed' }
  | { kind: 'failed'; code: string; detail: string };

function replyTo(database: StoreDatabase, request: ThreadRequest): ThreadReply {
  try {
    if (request.kind === 'close') {
      database.close();
      return { kind: 'closed' };
    }
    database.apply(request.operations, request.version);
    return { kind: 'done' };
  } catch (error) {
    return { kind: 'failed', ...faultRecord(toFault(error)) };
  }
}

function serve(port: MessagePort, path: string): void {
  const answer = (reply: ThreadReply): void => port.postMessage(reply);
  try {
    const database = openStoreDatabase(path);
    for (const rows of database.rows()) answer({ kind: 'rows', rows });
    port.on('message', (request: ThreadRequest) => {
      answer(replyTo(database, request));
      if (request.kind === 'close') port.close();
    });
    answer({ kind: 'opened', version: database.version() });
  } catch (error) {
    answer({ kind: 'failed', ...faultRecord(toFault(error)) });
  }
}

// The only file of this folder that acts when it is loaded: it is the main program of a thread, and does nothing elsewhere.
if (parentPort !== null && typeof workerData === 'object' && workerData !== null && 'storePath' in workerData) {
  serve(parentPort, String(workerData.storePath));
}
