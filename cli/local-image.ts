// What can be told of an image file before it is uploaded: its length, and the size that the guest will see where its header says so.
import { open } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';

export interface LocalImage {
  path: string;
  bytes: number;
  /** undefined where only unpacking or converting tells. */
  virtualSize: number | undefined;
}

const headerBytes = 512;
const sectorBytes = 512;

/** First bytes of what is not raw, so that its length says nothing about the size that the guest sees. */
const opaque: readonly [string, string][] = [
  ['1f8b', 'gz'],
  ['fd377a585a00', 'xz'],
  ['28b52ffd', 'zst'],
  ['425a68', 'bz2'],
  ['4b444d56', 'vmdk'],
  ['636f6e6563746978', 'vpc'],
  ['7668647866696c65', 'vhdx'],
];

/** @throws Fault InvalidRequest for what is not there or no ordinary file, NotADiskImage for a raw one of less than a sector, PermissionDenied */
export async function inspectLocalImage(path: string, { archive } = { archive: false }): Promise<LocalImage> {
  try {
    await using file = await open(path, 'r');
    const stats = await file.stat();
    if (!stats.isFile()) throw new Fault('InvalidRequest', `${path} is no ordinary file`);
    if (archive) return { path, bytes: stats.size, virtualSize: undefined };
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    return { path, bytes: stats.size, virtualSize: virtualSizeOf(path, buffer.subarray(0, bytesRead), stats.size) };
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw missing ? new Fault('InvalidRequest', `there is no file ${path}`, { cause: error }) : toFault(error);
  }
}

function virtualSizeOf(path: string, header: Buffer, fileBytes: number): number | undefined {
  const hex = header.toString('hex');
  // qcow2: magic QFI and 0xfb, the virtual size as 8 bytes at offset 24
  if (hex.startsWith('514649fb')) return header.length < 32 ? undefined : Number(header.readBigUInt64BE(24));
  if (opaque.some(([magic]) => hex.startsWith(magic))) return undefined;
  if (fileBytes < sectorBytes) throw new Fault('NotADiskImage', `${path} has ${fileBytes} bytes, less than one sector`);
  return Math.ceil(fileBytes / sectorBytes) * sectorBytes;
}
