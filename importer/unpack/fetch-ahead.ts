// Brings the bytes of an image's pieces into memory of its own, some pieces ahead of who takes them: several requests are under way at once where pieces
// lie apart, and no memory of the reader is held meanwhile.
import type { DiskPiece } from '../image/qcow2-pieces.ts';
import type { RandomReader } from '../nbd/random-reader.ts';
import { readInto } from './packed-image.ts';

export interface FetchedPiece {
  piece: DiskPiece;
  bytes: Buffer;
  /** Owed once, when the bytes are no longer needed. */
  release(): void;
}

const usualBytes = 1024 * 1024;
const readsAtOnce = 4;
/** So that one is being sent on and one written beside those that are read. */
const memories = readsAtOnce + 3;

/** In order. What a read fails with is thrown when its turn comes; after the abort, its reason at once. */
export async function* fetchAhead(
  pieces: AsyncIterable<DiskPiece>,
  reader: RandomReader,
  signal: AbortSignal,
): AsyncGenerator<FetchedPiece, void, undefined> {
  const memory = new PieceMemory();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  const unlessAborted = <T>(work: Promise<T>): Promise<T> => Promise.race([work, aborted.promise]);
  aborted.promise.catch(() => undefined); // told by whatever is waited for
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const iterator = pieces[Symbol.asyncIterator]();
  const running: Promise<FetchedPiece>[] = [];
  try {
    for (;;) {
      const next = await unlessAborted(iterator.next());
      if (next.done === true) break;
      const taken = await unlessAborted(memory.take(next.value.bytes));
      const fetching = fetchInto(taken, next.value, reader);
      fetching.catch(() => undefined); // thrown in its turn
      running.push(fetching);
      const first = running.length === readsAtOnce ? running.shift() : undefined;
      if (first !== undefined) yield await unlessAborted(first);
    }
    for (const fetching of running) yield await unlessAborted(fetching);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function fetchInto({ bytes, release }: TakenMemory, piece: DiskPiece, reader: RandomReader) {
  await readInto(reader, piece.offset, bytes);
  return { piece, bytes, release };
}

interface TakenMemory {
  bytes: Buffer;
  release(): void;
}

class PieceMemory {
  readonly #free: Buffer[] = [];
  #made = 0;
  #freed = Promise.withResolvers<void>();

  /** Waits for memory that another one gives back where all of it is taken. */
  async take(bytes: number): Promise<TakenMemory> {
    while (this.#free.length === 0 && this.#made === memories) await this.#freed.promise;
    const memory = this.#free.pop() ?? this.#make();
    // A cluster of 2 MiB may be longer: then for once.
    if (bytes > usualBytes) return { bytes: Buffer.allocUnsafeSlow(bytes), release: () => this.#giveBack(memory) };
    return { bytes: memory.subarray(0, bytes), release: () => this.#giveBack(memory) };
  }

  #make(): Buffer {
    this.#made += 1;
    return Buffer.allocUnsafeSlow(usualBytes);
  }

  #giveBack(memory: Buffer): void {
    this.#free.push(memory);
    this.#freed.resolve();
    this.#freed = Promise.withResolvers<void>();
  }
}
