// A file inside of something larger that serves ranges: a part of the file is a part of that.
import type { SourceRanges } from '../image-source.ts';

export class WindowRanges implements SourceRanges {
  readonly #outer: SourceRanges;
  readonly #start: number;
  readonly #length: number;
  readonly #parts: { offset: number; bytes: Buffer }[] = [];

  constructor(outer: SourceRanges, start: number, length: number) {
    this.#outer = outer;
    this.#start = start;
    this.#length = length;
  }

  get parts(): readonly { offset: number; bytes: Buffer }[] {
    return this.#parts;
  }

  get answerMs(): number | undefined {
    return this.#outer.answerMs;
  }

  async readAt(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.#length);
    const known = this.#parts.find((part) => part.offset <= offset && end <= part.offset + part.bytes.byteLength);
    if (known !== undefined) return known.bytes.subarray(offset - known.offset, end - known.offset);
    const bytes = Buffer.allocUnsafe(Math.max(0, end - offset));
    if (bytes.byteLength > 0) await this.#outer.fill(this.#start + offset, bytes);
    this.#parts.push({ offset, bytes });
    return bytes;
  }

  fill(start: number, memory: Buffer, onFilled?: (bytes: number) => void): Promise<void> {
    return this.#outer.fill(this.#start + start, memory, onFilled);
  }
}
