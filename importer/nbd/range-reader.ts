// Random access to a source that serves ranges. Whole segments are fetched and kept for a while; sequential reading is met by fetching ahead
// over several connections, over more of them where the source is far. Memory is a fixed set of buffers, whatever the size of the source.
import { Fault } from '../../domain/fault.ts';
import { type KnownPart, KnownParts } from './known-parts.ts';
import { beyondEnd, keptPiece, type Piece, type RandomReader, sectorSlackBytes } from './random-reader.ts';

/** Fills the memory with the bytes from `start` on, in order, and tells of each piece how long it is. */
export type FillMemory = (start: number, memory: Buffer, onFilled: (bytes: number) => void) => Promise<void>;

export interface RangeReaderOptions {
  totalBytes: number;
  /** Beginning of the source, which is known already. */
  head: Buffer;
  /** Further parts that are known already, such as tables of the image. */
  parts: readonly KnownPart[];
  /** How long the source takes to answer, where that is known. */
  answerMs?: number | undefined;
  fill: FillMemory;
}

/** A shorter read that is not where reading goes on is one of a table: fetched alone, and remembered. */
const tableBytes = 256 * 1024;
/** Who takes this long to answer is far. */
const farMs = 50;
/** Few requests, since each of them costs. */
const near = { segmentBytes: 4 * 1024 * 1024, kept: 8, ahead: 3 };
/** In the same memory more and smaller requests, nearly all of them under way: a long wait for an answer, and then a line that carries only so much each. */
const far = { segmentBytes: 2 * 1024 * 1024, kept: 16, ahead: 13 };

interface Segment {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly memory: Buffer;
  filled: number;
  failure: unknown;
  complete: boolean;
  /** Bytes that were read; at the end of the segment it is used up. */
  readTo: number;
  /** Reads that need its memory now. */
  readers: number;
  lastUse: number;
  /** Settles at the next change. */
  change: PromiseWithResolvers<void>;
}

export class RangeReader implements RandomReader {
  readonly #options: RangeReaderOptions;
  readonly #segments = new Map<number, Segment>();
  readonly #tables: KnownParts;
  readonly #window: typeof near;
  #buffers = 0;
  #clock = 0;
  /** Where reading is. */
  #current = 0;
  #closed = false;
  /** Settles when memory may have become free. */
  #freed = Promise.withResolvers<void>();
  readonly #fetches = new Set<Promise<void>>();

  constructor(options: RangeReaderOptions) {
    this.#options = options;
    this.#tables = new KnownParts(options.head, options.parts);
    this.#window = (options.answerMs ?? 0) < farMs ? near : far;
  }

  prepare(offset: number, length: number): boolean {
    if (offset >= this.#options.totalBytes || this.#isTable(offset, length)) return true;
    const last = this.#indexOf(Math.min(offset + length, this.#options.totalBytes) - 1);
    for (let index = this.#indexOf(offset); index <= last; index += 1) {
      if (!this.#segments.has(index) && this.#begin(index, 'usedUp') === undefined) return false;
    }
    return true;
  }

  async *read(offset: number, length: number): AsyncGenerator<Piece, void, undefined> {
    const end = offset + length;
    const known = Math.min(end, this.#options.totalBytes);
    if (end - known > sectorSlackBytes || known <= offset) throw beyondEnd(end, this.#options.totalBytes);
    if (this.#isTable(offset, known - offset)) yield keptPiece(await this.#table(offset, known));
    else yield* this.#readSegments(offset, known);
    if (end > known) yield keptPiece(Buffer.alloc(end - known));
  }

  async *#readSegments(offset: number, end: number): AsyncGenerator<Piece, void, undefined> {
    for (let at = offset; at < end; ) {
      const segment = await this.#use(this.#indexOf(at));
      const until = Math.min(end, segment.end);
      try {
        await filledTo(segment, until);
      } catch (error) {
        this.#release(segment, at);
        throw error;
      }
      const bytes = segment.memory.subarray(at - segment.start, until - segment.start);
      yield { bytes, release: () => this.#release(segment, until) };
      at = until;
    }
  }

  #release(segment: Segment, readTo: number): void {
    segment.readers -= 1;
    segment.readTo = Math.max(segment.readTo, readTo);
    this.#tellFreed();
  }

  #isTable(offset: number, length: number): boolean {
    if (length > tableBytes) return false;
    const index = this.#indexOf(offset);
    return !this.#segments.has(index) && (!this.#isNear(index) || this.#tables.find(offset, length) !== undefined);
  }

  async #table(offset: number, end: number): Promise<Buffer> {
    const known = this.#tables.find(offset, end - offset);
    if (known !== undefined) return known;
    const bytes = Buffer.allocUnsafeSlow(end - offset);
    await this.#options.fill(offset, bytes, () => undefined);
    this.#tables.remember({ offset, bytes });
    return bytes;
  }

  /** Waits until no fetch runs any more; the source should be closed first. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#tellFreed();
    await Promise.allSettled(this.#fetches);
    this.#segments.clear();
  }

  /** The segment, held until the caller lets go. Waits for memory where all of it is being filled. */
  async #use(index: number): Promise<Segment> {
    for (;;) {
      if (this.#closed) throw new Fault('Cancelled', 'the source was closed');
      const segment = this.#segments.get(index) ?? this.#begin(index, 'any');
      if (segment !== undefined) {
        segment.readers += 1;
        segment.lastUse = ++this.#clock;
        this.#fetchAhead(index);
        return segment;
      }
      await this.#freed.promise;
    }
  }

  /** Only where reading goes forward; a jump fetches what it needs and no more. */
  #fetchAhead(index: number): void {
    const goesOn = this.#isNear(index);
    this.#current = index;
    if (!goesOn) return;
    const last = this.#indexOf(this.#options.totalBytes - 1);
    for (let ahead = index + 1; ahead <= Math.min(index + this.#window.ahead, last); ahead += 1)
      this.#begin(ahead, 'usedUp');
  }

  #indexOf(offset: number): number {
    return Math.floor(offset / this.#window.segmentBytes);
  }

  #isNear(index: number): boolean {
    return index >= this.#current - 1 && index <= this.#current + 1;
  }

  /**
   * Begins to fetch a segment.
   * @param victims whose memory may be taken: fetching ahead takes only that of segments that were read to their end
   * @returns undefined where no memory is free, or for what is fetched ahead and there already
   */
  #begin(index: number, victims: 'usedUp' | 'any'): Segment | undefined {
    if (this.#closed || this.#segments.has(index)) return undefined;
    const memory = this.#takeMemory(victims);
    if (memory === undefined) return undefined;
    const { segmentBytes } = this.#window;
    const start = index * segmentBytes;
    const segment: Segment = {
      index,
      start,
      end: Math.min(start + segmentBytes, this.#options.totalBytes),
      memory,
      filled: 0,
      failure: undefined,
      complete: false,
      readTo: 0,
      readers: 0,
      lastUse: ++this.#clock,
      change: Promise.withResolvers<void>(),
    };
    this.#segments.set(index, segment);
    const fetching = this.#fetch(segment).finally(() => {
      this.#fetches.delete(fetching);
      this.#tellFreed();
    });
    this.#fetches.add(fetching);
    return segment;
  }

  #takeMemory(victims: 'usedUp' | 'any'): Buffer | undefined {
    if (this.#buffers < this.#window.kept) {
      this.#buffers += 1;
      return Buffer.allocUnsafeSlow(this.#window.segmentBytes);
    }
    const idle = [...this.#segments.values()].filter(({ complete, readers }) => complete && readers === 0);
    const usedUp = idle.filter(({ readTo, end }) => readTo === end);
    const candidates = usedUp.length > 0 || victims === 'usedUp' ? usedUp : idle;
    const oldest = candidates.sort((one, other) => one.lastUse - other.lastUse)[0];
    if (oldest === undefined) return undefined;
    this.#segments.delete(oldest.index);
    return oldest.memory;
  }

  #tellFreed(): void {
    this.#freed.resolve();
    this.#freed = Promise.withResolvers<void>();
  }

  /** Never rejects: a failure is kept for whoever reads the segment. */
  async #fetch(segment: Segment): Promise<void> {
    try {
      if (segment.start < this.#options.head.byteLength) {
        segment.filled = this.#options.head.copy(segment.memory, 0, segment.start);
      }
      const missing = segment.memory.subarray(segment.filled, segment.end - segment.start);
      if (missing.byteLength > 0) {
        await this.#options.fill(segment.start + segment.filled, missing, (bytes) => {
          segment.filled += bytes;
          tellChange(segment);
        });
      }
    } catch (error) {
      segment.failure = error ?? new Fault('Internal', 'the range reader failed');
    } finally {
      segment.complete = true;
      tellChange(segment);
    }
  }
}

function tellChange(segment: Segment): void {
  segment.change.resolve();
  segment.change = Promise.withResolvers<void>();
}

async function filledTo(segment: Segment, end: number): Promise<void> {
  while (segment.start + segment.filled < end) {
    if (segment.failure !== undefined) throw segment.failure;
    if (segment.complete) throw new Fault('SourceInterrupted', 'a part of the source came short');
    await segment.change.promise;
  }
}
