// Blocks of memory that direct I/O takes: page-aligned, which ordinary Buffers are not and which Node offers no other way to get than WebAssembly's
// memory. Used again after they are given back, so that memory stays flat however many images pass.
import { blockBytes } from '../domain/digest.ts';

interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
/** The part of the global that is used; TypeScript describes it only for browsers. */
declare const WebAssembly: { readonly Memory: new (size: { initial: number; maximum: number }) => WasmMemory };

const pageBytes = 65_536;
/** Of each size; more than these are let go. */
const keptMemories = 4;

/** Some blocks of 1 MiB each, taken and given back together. */
export class AlignedMemory {
  static readonly #kept = new Map<number, WasmMemory[]>();
  readonly blocks: readonly Buffer[];
  /** All blocks, which lie one after the other. */
  readonly whole: Buffer;
  readonly #memory: WasmMemory;
  #given = false;

  private constructor(memory: WasmMemory, count: number) {
    this.#memory = memory;
    this.whole = Buffer.from(memory.buffer);
    this.blocks = Array.from({ length: count }, (_, index) =>
      Buffer.from(memory.buffer, index * blockBytes, blockBytes),
    );
  }

  /** What the blocks hold at first is anything. */
  static take(count: number): AlignedMemory {
    const pages = (count * blockBytes) / pageBytes;
    const memory = AlignedMemory.#kept.get(count)?.pop() ?? new WebAssembly.Memory({ initial: pages, maximum: pages });
    return new AlignedMemory(memory, count);
  }

  /** Nobody may use the blocks afterwards, the kernel included. */
  giveBack(): void {
    if (this.#given) return;
    this.#given = true;
    const kept = AlignedMemory.#kept.get(this.blocks.length) ?? [];
    if (kept.length < keptMemories) kept.push(this.#memory);
    AlignedMemory.#kept.set(this.blocks.length, kept);
  }
}
