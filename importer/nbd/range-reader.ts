// Random access to a source that serves ranges. Whole segments are fetched and kept for a while; sequential reading is met by fetching ahead
// over several connections. Memory is a fixed set of buffers, whatever the size of the source.
import { Fault } from '../../domain/fault.ts';
import { type RandomReader, sectorSlackBytes } from './random-reader.ts';

/** Yields the bytes from start to end in order. */
export type FetchRange = (start: number, end: number) => AsyncIterable<Buffer>;

export interface RangeReaderOptions {
  totalBytes: number;
  /** Beginning of the source, which is known already. */
  head: Buffer;
  fetchRange: FetchRange;
}

const segmentBytes = 4 * 1024 * 1024;
const segmentsKept = 8;
const segmentsAhead = 3;

interface Segment {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly memory: Buffer;
  filled: number;
  failure: unknown;
  complete: boolean;
  /** Reads that need its memory now. */
  readers: number;
  lastUse: number;
  /** Settles at the next change. */
  change: PromiseWithResolvers<void>;
}

export class RangeReader implements RandomReader {
  readonly #options: RangeReaderOptions;
  readonly #segments = new Map<number, Segment>();
  readonly #free: Buffer[] = [];
  #buffers = 0;
  #clock = 0;
  #furthest = -1;
  #closed = false;
  readonly #fetches = new Set<Promise<void>>();

  constructor(options: RangeReaderOptions) {
    this.#options = options;
  }

  prepare(offset: number, length: number): void {
    if (offset >= this.#options.totalBytes || length === 0) return;
    const index = Math.floor(offset / segmentBytes);
    this.#obtain(index);
    this.#fetchAhead(index);
  }

  async *read(offset: number, length: number): AsyncGenerator<Buffer, void, undefined> {
    const end = offset + length;
    const known = Math.min(end, this.#options.totalBytes);
    if (end - known > sectorSlackBytes || known <= offset) throw beyondEnd(end, this.#options.totalBytes);
    for (let at = offset; at < known; ) {
      const segment = await this.#use(Math.floor(at / segmentBytes));
      try {
        const until = Math.min(known, segment.end);
        await filledTo(segment, until);
        yield segment.memory.subarray(at - segment.start, until - segment.start);
        at = until;
      } finally {
        segment.readers -= 1;
      }
    }
    if (end > known) yield Buffer.alloc(end - known);
  }

  /** Waits until no fetch runs any more; the source should be closed first. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#fetches);
    this.#segments.clear();
    this.#free.length = 0;
  }

  /** The segment, held until the caller lets go. Waits for memory where all of it is in use. */
  async #use(index: number): Promise<Segment> {
    for (;;) {
      const segment = this.#obtain(index);
      if (segment !== undefined) {
        segment.readers += 1;
        segment.lastUse = ++this.#clock;
        this.#fetchAhead(index);
        return segment;
      }
      await Promise.race(this.#fetches);
    }
  }

  /** Only where reading goes forward; a jump fetches what it needs and no more. */
  #fetchAhead(index: number): void {
    const goesOn = index <= this.#furthest + 1 && index >= this.#furthest - segmentsAhead;
    this.#furthest = goesOn ? Math.max(this.#furthest, index) : index;
    if (!goesOn) return;
    const last = Math.ceil(this.#options.totalBytes / segmentBytes) - 1;
    for (let ahead = index + 1; ahead <= Math.min(index + segmentsAhead, last); ahead += 1) this.#obtain(ahead);
  }

  /** The segment, begun where it is not there; undefined where no memory is free. */
  #obtain(index: number): Segment | undefined {
    const known = this.#segments.get(index);
    if (known !== undefined) return known;
    const memory = this.#takeMemory();
    if (memory === undefined || this.#closed) return undefined;
    const start = index * segmentBytes;
    const end = Math.min(start + segmentBytes, this.#options.totalBytes);
    const change = Promise.withResolvers<void>();
    const lastUse = ++this.#clock;
    const segment = {
      index,
      start,
      end,
      memory,
      filled: 0,
      failure: undefined,
      complete: false,
      readers: 0,
      lastUse,
      change,
    };
    this.#segments.set(index, segment);
    const fetching = this.#fetch(segment).finally(() => this.#fetches.delete(fetching));
    this.#fetches.add(fetching);
    return segment;
  }

  #takeMemory(): Buffer | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#buffers < segmentsKept) {
      this.#buffers += 1;
      return Buffer.allocUnsafeSlow(segmentBytes);
    }
    const idle = [...this.#segments.values()].filter((segment) => segment.complete && segment.readers === 0);
    const oldest = idle.sort((one, other) => one.lastUse - other.lastUse)[0];
    if (oldest === undefined) return undefined;
    this.#segments.delete(oldest.index);
    return oldest.memory;
  }

  /** Never rejects: a failure is kept for whoever reads the segment. */
  async #fetch(segment: Segment): Promise<void> {
    try {
      if (segment.start < this.#options.head.byteLength) {
        segment.filled = this.#options.head.copy(segment.memory, 0, segment.start);
      }
      const from = segment.start + segment.filled;
      if (from < segment.end) {
        for await (const chunk of this.#options.fetchRange(from, segment.end)) {
          segment.filled += chunk.copy(segment.memory, segment.filled);
          tellChange(segment);
        }
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

function beyondEnd(end: number, totalBytes: number): Fault {
  return new Fault('CorruptImage', `the image needs byte ${end} of a file of ${totalBytes} bytes`);
}
