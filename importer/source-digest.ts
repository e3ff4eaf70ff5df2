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
  async *through(source: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
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

  /**
   * @returns true where a checksum was asked and agrees, false where none was asked
   * @throws Fault ChecksumMismatch with both digests
   */
  verify(): boolean {
    const sha256 = this.finish();
    if (this.#asked === undefined) return false;
    this.#found ??= this.#other === undefined ? sha256 : `${this.#asked.algorithm}:${this.#other.digest('hex')}`;
    const found = this.#found;
    const asked = formatChecksum(this.#asked);
    if (found === asked) return true;
    throw new Fault('ChecksumMismatch', `checksum mismatch: asked ${asked}, found ${found}`, {
      facts: { asked, found },
    });
  }
}

function checksumOf(text: string): Checksum {
  const parsed = parseChecksum(text);
  if ('problem' in parsed) throw new Fault('InvalidRequest', parsed.problem);
  return parsed.checksum;
}
