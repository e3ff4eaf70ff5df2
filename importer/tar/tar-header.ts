// One header block of a tar archive: ustar (POSIX.1-1988), with the numbers of GNU and the extended headers of pax (POSIX.1-2001). Pure, and strict
// about everything that says where the next header lies: two readers of the same archive must never see different files.
import { Fault } from '../../domain/fault.ts';

export const tarBlockBytes = 512;

export type TarType =
  | 'file'
  | 'directory'
  | 'hard link'
  | 'symbolic link'
  | 'character device'
  | 'block device'
  | 'fifo'
  | 'sparse file'
  | 'unknown';

export interface TarHeader {
  name: string;
  linkName: string;
  mode: number;
  type: TarType;
  /** When the file was changed, in seconds since 1970; undefined where that is not told in a way that is understood. */
  modified: number | undefined;
  /** Bytes of the body that follows; 0 for what has none. */
  bodyBytes: number;
}

/** Blocks that speak of the next header rather than of a file. */
export type TarExtension = 'pax' | 'pax global' | 'long name' | 'long link';

export type TarBlock =
  | { kind: 'end' }
  | { kind: 'header'; header: TarHeader }
  | { kind: 'extension'; extension: TarExtension; bodyBytes: number };

const types: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hard link',
  '2': 'symbolic link',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  '6': 'fifo',
  S: 'sparse file',
};

const extensions: Readonly<Record<string, TarExtension>> = {
  x: 'pax',
  g: 'pax global',
  L: 'long name',
  K: 'long link',
};

const withBody: readonly TarType[] = ['file', 'sparse file', 'unknown'];
const checksumField = { start: 148, end: 156 };
/** Of GNU: the number is binary. */
const binaryMark = 0x80;
const negativeMark = 0xff;

/** @throws Fault CorruptImage for what is no header */
export function readTarBlock(block: Buffer): TarBlock {
  if (block.every((byte) => byte === 0)) return { kind: 'end' };
  assertChecksum(block);
  const flag = String.fromCharCode(block.readUInt8(156));
  const size = numberIn(block, 124, 12);
  const extension = extensions[flag];
  if (extension !== undefined) return { kind: 'extension', extension, bodyBytes: size };
  const name = nameIn(block);
  const named = types[flag] ?? 'unknown';
  // Archives from before POSIX have no type for a directory.
  const type = named === 'file' && name.endsWith('/') ? 'directory' : named;
  const bodyBytes = withBody.includes(type) ? size : 0;
  return {
    kind: 'header',
    header: {
      ...{ name, linkName: textIn(block, 157, 100), mode: numberIn(block, 100, 8), type, bodyBytes },
      modified: secondsIn(textIn(block, 136, 12).trim(), 8),
    },
  };
}

/**
 * The header as the pax records before it say. A record without a value takes back what a global one said.
 * @throws Fault CorruptImage for a size that is none
 */
export function withPaxRecords(header: TarHeader, records: ReadonlyMap<string, string>): TarHeader {
  const given = (key: string): string | undefined => records.get(key) || undefined;
  const size = given('size');
  if (size !== undefined && !/^\d{1,16}$/.test(size)) throw damaged(`a file of size ${JSON.stringify(size)}`);
  const isSparse = [...records.keys()].some((key) => key.startsWith('GNU.sparse.'));
  const hasBody = withBody.includes(header.type);
  const bodyBytes = size === undefined || !hasBody ? header.bodyBytes : Number(size);
  if (!Number.isSafeInteger(bodyBytes)) throw damaged(`a file of size ${size ?? ''}`);
  const modified = given('mtime');
  return {
    ...header,
    ...(modified === undefined ? {} : { modified: secondsIn(modified, 10) }),
    name: given('GNU.sparse.name') ?? given('path') ?? header.name,
    linkName: given('linkpath') ?? header.linkName,
    type: isSparse && header.type === 'file' ? 'sparse file' : header.type,
    bodyBytes,
  };
}

/** `length key=value` with a newline, one after the other; the length counts itself. @throws Fault CorruptImage */
export function readPaxRecords(body: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < body.byteLength; ) {
    const blank = body.indexOf(0x20, at);
    const digits = body.toString('latin1', at, Math.min(Math.max(blank, at), at + 8));
    const length = /^[1-9]\d{0,6}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = body.indexOf(0x3d, blank);
    const fits = length > 0 && end <= body.byteLength && body[end - 1] === 0x0a && equals > blank && equals < end;
    if (!fits) throw damaged('a pax record that is none');
    records.set(body.toString('utf8', blank + 1, equals), body.toString('utf8', equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The body of a `long name` or `long link`. */
export function readLongName(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('utf8', 0, end < 0 ? body.byteLength : end);
}

export function damaged(what: string): Fault {
  return new Fault('CorruptImage', `the tar archive holds ${what}`);
}

/** ustar keeps the directories of a long name apart. */
function nameIn(block: Buffer): string {
  const name = textIn(block, 0, 100);
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isUstar ? textIn(block, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function textIn(block: Buffer, start: number, length: number): string {
  return readLongName(block.subarray(start, start + length));
}

/** Octal digits, or binary where GNU marks it so. @throws Fault CorruptImage */
function numberIn(block: Buffer, start: number, length: number): number {
  const first = block.readUInt8(start);
  if (first === binaryMark || first === negativeMark) {
    const value = block.subarray(start + 1, start + length).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    if (first === binaryMark && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw damaged('a number that is too large or negative');
  }
  const digits = textIn(block, start, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw damaged('a number that is none');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** A time is never worth a failure. */
function secondsIn(text: string, base: 8 | 10): number | undefined {
  const pattern = base === 8 ? /^[0-7]{1,12}$/ : /^\d{1,12}(\.\d+)?$/;
  if (!pattern.test(text)) return undefined;
  return base === 8 ? Number.parseInt(text, 8) : Number(text);
}

/** The sum of all bytes, its own field counted as blanks. */
function assertChecksum(block: Buffer): void {
  const { start, end } = checksumField;
  const sum = block.reduce((total, byte, at) => total + (at >= start && at < end ? 0x20 : byte), 0);
  const told = textIn(block, start, end - start).trim();
  if (!/^[0-7]+$/.test(told) || Number.parseInt(told, 8) !== sum) throw damaged('a header whose checksum is wrong');
}
