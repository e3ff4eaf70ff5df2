// The files of a tar archive one after the other, however it is read. Extended headers are applied and never larger than a megabyte, so that an archive
// costs the same little memory whatever it holds.
import { Fault } from '../../domain/fault.ts';
import {
  damaged,
  readLongName,
  readPaxRecords,
  readTarBlock,
  type TarExtension,
  type TarHeader,
  tarBlockBytes,
  withPaxRecords,
} from './tar-header.ts';
import type { TarInput } from './tar-input.ts';

export interface TarEntry extends TarHeader {
  /** Where its body begins. */
  bodyOffset: number;
}

const mostExtensionBytes = 1024 * 1024;
const mostEntries = 2_000_000;

export class TarEntries {
  readonly #input: TarInput;
  readonly #globals = new Map<string, string>();
  /** Where the last body ends. The next header begins at the next block. */
  #bodyEnd = 0;
  #entries = 0;
  #ended = false;

  constructor(input: TarInput) {
    this.#input = input;
  }

  /**
   * The next file; what its predecessor left of its body is skipped.
   * @returns undefined at the end
   * @throws Fault CorruptImage for what is no tar archive or ends early, HostileImage for headers without end
   */
  async next(): Promise<TarEntry | undefined> {
    if (this.#ended) return undefined;
    const told = new Map(this.#globals);
    let extensionBytes = 0;
    for (;;) {
      await this.#input.skip(this.#bodyEnd - this.#input.position);
      const paddingBytes = padded(this.#bodyEnd) - this.#bodyEnd;
      const isCut = (await this.#input.take(paddingBytes)).byteLength < paddingBytes;
      const bytes = await this.#input.take(tarBlockBytes);
      // umoci ends a layer right behind the last body.
      if (isCut || (bytes.byteLength === 0 && this.#bodyEnd > 0)) return this.#end();
      if (bytes.byteLength < tarBlockBytes) throw damaged('a header that ends early');
      const block = readTarBlock(bytes);
      if (block.kind === 'end') return this.#end();
      if (block.kind === 'header') return this.#entry(withPaxRecords(block.header, told));
      extensionBytes += block.bodyBytes + tarBlockBytes;
      if (extensionBytes > mostExtensionBytes) {
        throw new Fault(
          'HostileImage',
          `the tar archive has extended headers of more than ${mostExtensionBytes} bytes`,
        );
      }
      await this.#extend(told, block.extension, block.bodyBytes);
    }
  }

  #end(): undefined {
    this.#ended = true;
    return undefined;
  }

  #entry(header: TarHeader): TarEntry {
    const bodyOffset = this.#input.position;
    this.#bodyEnd = bodyOffset + header.bodyBytes;
    if (!Number.isSafeInteger(padded(this.#bodyEnd))) throw damaged(`a file of ${header.bodyBytes} bytes`);
    this.#entries += 1;
    if (this.#entries > mostEntries) {
      throw new Fault('HostileImage', `the tar archive has more than ${mostEntries} entries`);
    }
    return { ...header, bodyOffset };
  }

  async #extend(told: Map<string, string>, extension: TarExtension, bodyBytes: number): Promise<void> {
    const body = await this.#input.take(bodyBytes);
    if (body.byteLength < bodyBytes) throw damaged('a header that ends early');
    this.#bodyEnd = this.#input.position;
    switch (extension) {
      case 'pax':
      case 'pax global': {
        const records = readPaxRecords(body);
        for (const [key, value] of records) {
          told.set(key, value);
          if (extension === 'pax global') this.#globals.set(key, value);
        }
        break;
      }
      case 'long name':
        told.set('path', readLongName(body));
        break;
      case 'long link':
        told.set('linkpath', readLongName(body));
        break;
    }
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / tarBlockBytes) * tarBlockBytes;
}
