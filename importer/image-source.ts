// What the importer asks of a source, wherever its bytes come from. Each kind of source is one folder that gives this.
import type { SourceVersion } from '../domain/source-version.ts';
import type { ByteStream } from './peeked-stream.ts';

export interface ImageSource extends ByteStream {
  /** Length of the content; undefined where nobody tells before its end. */
  readonly totalBytes: number | undefined;
  /** Any part of the content; undefined where it comes only in order. */
  readonly ranges: SourceRanges | undefined;
  /** What proves that two reads were of the same content, such as an ETag or a digest; undefined where there is no such proof. */
  readonly validator: string | undefined;
  /**
   * Names the content among all that the place serves: who may read there and is told the same identity would get the same bytes. It names the place
   * after redirects too, and says nothing of whom is trusted to answer there. Undefined where no such proof is told.
   */
  readonly identity?: string | undefined;
  /** What tells this version from the next, where that is more than the validator; for a registry the digest of the manifest that the reference names. */
  readonly version?: SourceVersion;
  /** Of a source that has a digest of its own: true once every byte has passed and was proved by it, without a checksum being asked. */
  readonly isProven?: boolean;
  /** Undefined where nothing proves in the middle that the content is still the one whose beginning another attempt has. */
  readonly continuation?: SourceContinuation | undefined;
  /** For the claim: what the environment of a container image says. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Bytes of content that came over the network so far. */
  readonly fetchedBytes: number;
  /** Told the bytes fetched so far, with each piece. */
  onFetched: (bytes: number) => void;
  /** @throws Fault SourceTooLong, SourceInterrupted where that many bytes of content are not what was declared */
  assertLength(bytes: number): void;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** How a source goes on in the middle. */
export interface SourceContinuation {
  /** Where the content lies, after redirects. */
  readonly place: string;
  /** Differs wherever the content does. */
  readonly validator: string;
  /** In place of `pieces`: those from there on. Faults: those of `SourceRanges`. */
  piecesFrom(offset: number): AsyncGenerator<Buffer, void, undefined>;
}

/** Faults of both: SourceChanged, SourceTruncated, SourceInterrupted and those of opening. */
export interface SourceRanges {
  /** Reads a part, such as a table of an image. What lies beyond the end is left out. */
  readAt(offset: number, length: number): Promise<Buffer>;
  /** Fills the memory with the bytes from `start` on, in order, and tells of each piece how long it is. */
  fill(start: number, memory: Buffer, onFilled?: (bytes: number) => void): Promise<void>;
  /** Shortest wait for an answer so far; undefined where nobody is asked over a network. */
  readonly answerMs?: number | undefined;
  /** What was read by `readAt` so far. */
  readonly parts: readonly { offset: number; bytes: Buffer }[];
}

/** What is asked for first, and known without asking again. */
export const firstRequestBytes = 65_536;
