// A part of a source over several connections at once, passed on in order: for sources so far away that one connection does not fill the line. Memory is
// a fixed number of pieces.
import { Fault } from '../../domain/fault.ts';

/** Fills the memory with the bytes from `start` on, in order, and tells of each piece how long it is. The signal tells that nobody wants them any more. */
export type FillMemory = (
  start: number,
  memory: Buffer,
  onFilled: (bytes: number) => void,
  unwanted: AbortSignal,
) => Promise<void>;

/** Connections at once, and pieces in memory: a piece takes no longer to come than a distant server to answer. */
const mostConnections = 8;
const pieceBytes = 4 * 1024 * 1024;

interface Piece {
  readonly memory: Buffer;
  readonly bytes: number;
  filled: number;
  ended: boolean;
  failure: unknown;
  /** Settles at the next change. */
  change: PromiseWithResolvers<void>;
}

/**
 * A piece may be overwritten once the next one is asked for. Fetches that are on the way when this ends, by `return` too, are told that nobody wants them,
 * and not waited for: closing the source ends them.
 * @throws what `fill` rejects with, once all before it was passed on
 */
export async function* orderedRanges(
  fill: FillMemory,
  start: number,
  end: number,
): AsyncGenerator<Buffer, void, undefined> {
  const coming: Piece[] = [];
  const unwanted = new AbortController();
  let next = start;
  const begin = (memory: Buffer): void => {
    const piece = newPiece(memory, Math.min(pieceBytes, end - next));
    coming.push(piece);
    fetchPiece(fill, next, piece, unwanted.signal).catch(() => undefined); // it never rejects
    next += piece.bytes;
  };
  try {
    while (coming.length < mostConnections && next < end) begin(Buffer.allocUnsafeSlow(pieceBytes));
    for (let piece = coming[0]; piece !== undefined; piece = coming[0]) {
      yield* asItComes(piece);
      coming.shift();
      if (next < end) begin(piece.memory);
    }
  } finally {
    unwanted.abort();
  }
}

function newPiece(memory: Buffer, bytes: number): Piece {
  return { memory, bytes, filled: 0, ended: false, failure: undefined, change: Promise.withResolvers<void>() };
}

/** Never rejects: a failure is kept for whoever takes the piece. */
async function fetchPiece(fill: FillMemory, start: number, piece: Piece, unwanted: AbortSignal): Promise<void> {
  try {
    const onFilled = (bytes: number): void => {
      piece.filled += bytes;
      tellChange(piece);
    };
    await fill(start, piece.memory.subarray(0, piece.bytes), onFilled, unwanted);
  } catch (error) {
    piece.failure = error ?? new Fault('Internal', 'a part of the source failed without a reason');
  }
  piece.ended = true;
  tellChange(piece);
}

function tellChange(piece: Piece): void {
  piece.change.resolve();
  piece.change = Promise.withResolvers<void>();
}

/** Until its fetch has ended: the memory is free then. */
async function* asItComes(piece: Piece): AsyncGenerator<Buffer, void, undefined> {
  let taken = 0;
  while (taken < piece.filled || !piece.ended) {
    const { filled } = piece;
    if (filled > taken) {
      yield piece.memory.subarray(taken, filled);
      taken = filled;
    } else await piece.change.promise;
  }
  if (piece.failure !== undefined) throw piece.failure;
  if (taken < piece.bytes) throw new Fault('SourceInterrupted', 'a part of the source came short');
}
