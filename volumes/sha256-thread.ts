// The thread that sha256OfFile starts: reads a file to its end and posts the hex of its sha256. Entry of a worker thread, imported by none.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const blockBytes = 1_048_576;

function sha256(path: string): string {
  const hash = createHash('sha256');
  const block = Buffer.allocUnsafe(blockBytes);
  const file = openSync(path, 'r');
  try {
    for (let bytes = readSync(file, block); bytes > 0; bytes = readSync(file, block)) {
      hash.update(bytes < blockBytes ? block.subarray(0, bytes) : block);
    }
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}

parentPort?.postMessage(sha256(String(workerData)));
