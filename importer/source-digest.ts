// Hashes the bytes of a source in the order in which they pass: sha256 for the report, and the algorithm of the checksum that was asked.
import { createHash, type Hash } from 'node:crypto';
import { type Checksum, formatChecksum, parseChecksum } from '../domain/checksum.ts';
import { Fault } from '../domain/fault.ts';

export class SourceDigest {
  readonly #sha256: Hash = createHash('sha256');
  readonly #asked: Checksum | undefined;
  readonly #other: Hash | undefined;
  #bytes = 0;
  #finished: string | undefined;
  #found: string | undefined;

  /** @throws Fault InvalidRequest where the checksum is not well formed */
  constructor(checksum: string | undefined) {
    this.#asked = checksum === undefined ? undefined : checksumOf(checksum);
    if (this.#asked !== undefined && this.#asked.algorithm !== 'sha256')
      this.#other = createHash(this.#asked.algorithm);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Passes the bytes on, hashed. */
  async *through(
    source: AsyncIterable<Buffer>,
    onBytes: (bytes: number) => void,
  ): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of source) {
      this.#sha256.update(chunk);
      this.#other?.update(chunk);
      this.#bytes += chunk.byteLength;
      onBytes(this.#bytes);
      yield chunk;
    }
  }

  /** `sha256:hex` of all that passed. */
  finish(): string {
    this.#finished ??= `sha256:${this.#sha256.digest('hex')}`;
    return this.#finished;
  }

  /** `algorithm:hex` of all that passed, in each algorithm that was made. */
  all(): string[] {
    return [...new Set([this.finish(), this.#foundDigest()])];
  }

  /**
   * @returns true where a checksum was asked and agrees, false where none was asked
   * @throws Fault ChecksumMismatch with both digests
   */
  verify(): boolean {
    const found = this.#foundDigest();
    if (this.#asked === undefined) return false;
    assertAgree(this.#asked, found);
    return true;
  }

  #foundDigest(): string {
    const sha256 = this.finish();
    this.#found ??= this.#other === undefined ? sha256 : `${this.#asked?.algorithm}:${this.#other.digest('hex')}`;
    return this.#found;
  }
}

/** The algorithm of a checksum. @throws Fault InvalidRequest */
export function algorithmOf(checksum: string): string {
  return checksumOf(checksum).algorithm;
}

/**
 * Holds a checksum against digests that somebody else made of the same bytes.
 * @returns false where none of them is of its algorithm. @throws Fault ChecksumMismatch, InvalidRequest
 */
export function agreesWith(checksum: string, digests: readonly string[]): boolean {
  const asked = checksumOf(checksum);
  const found = digests.find((digest) => digest.startsWith(`${asked.algorithm}:`));
  if (found === undefined) return false;
  assertAgree(asked, found);
  return true;
}

function assertAgree(checksum: Checksum, found: string): void {
  const asked = formatChecksum(checksum);
  if (found === asked) return;
  throw new Fault('ChecksumMismatch', `checksum mismatch: asked ${asked}, found ${found}`, { facts: { asked, found } });
}

function checksumOf(text: string): Checksum {
  const parsed = parseChecksum(text);
  if ('problem' in parsed) throw new Fault('InvalidRequest', parsed.problem);
  return parsed.checksum;
}
