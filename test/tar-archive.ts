// Tar archives for tests, made block by block, so that a test can make what no program would.

export interface TarFile {
  name: string;
  body?: Buffer;
  /** Type flag; a plain file by default. */
  type?: string;
  link?: string;
  /** Size as told, where that is not the length of the body. */
  size?: string;
}

const blockBytes = 512;

/** @param end false leaves out the two blocks of zeros */
export function tarArchive(files: readonly TarFile[], end = true): Buffer {
  return Buffer.concat([...files.flatMap(blocksOf), Buffer.alloc(end ? 2 * blockBytes : 0)]);
}

/** A pax header for the next file. */
export function paxFile(records: Readonly<Record<string, string>>, type = 'x'): TarFile {
  const lines = Object.entries(records).map(([key, value]) => paxLine(`${key}=${value}\n`));
  return { name: 'PaxHeaders/next', type, body: Buffer.from(lines.join('')) };
}

function paxLine(record: string): string {
  let length = Buffer.byteLength(record) + 2;
  while (`${length} ${record}`.length !== length) length += 1;
  return `${length} ${record}`;
}

function blocksOf({ name, body = Buffer.alloc(0), type = '0', link = '', size }: TarFile): Buffer[] {
  const head = Buffer.alloc(blockBytes);
  head.write(name, 0, 100);
  head.write('0000644\0', 100);
  head.write('0000000\0', 108);
  head.write('0000000\0', 116);
  head.write(`${size ?? body.length.toString(8).padStart(11, '0')}\0`, 124, 12, 'latin1');
  head.write('00000000000\0', 136);
  head.write(type, 156);
  head.write(link, 157, 100);
  head.write('ustar\0' + '00', 257);
  head.fill(' ', 148, 156);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return [head, body, Buffer.alloc((blockBytes - (body.length % blockBytes)) % blockBytes)];
}
