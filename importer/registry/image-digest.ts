// Proof that bytes are those that a digest names. Nothing of an image is used whose digest was not computed here.
import { createHash, type Hash } from 'node:crypto';
import { Fault } from '../../domain/fault.ts';
import { isImageDigest } from '../../domain/image-reference.ts';

export interface Named {
  /** `sha256:hex` or `sha512:hex`. */
  digest: string;
  /** Bytes that it has. */
  size: number;
}

/** @throws Fault ChecksumMismatch */
export function assertDigest(bytes: Buffer, named: Named, what: string): void {
  const hash = hashFor(named.digest);
  compare(hash.update(bytes), bytes.byteLength, named, what);
}

/** Passes the bytes on, and throws at their end where they are not those that were named. @throws Fault ChecksumMismatch */
export async function* provenPieces(
  pieces: AsyncIterable<Buffer>,
  named: Named,
  what: string,
): AsyncGenerator<Buffer, void, undefined> {
  const hash = hashFor(named.digest);
  let bytes = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.byteLength;
    if (bytes > named.size) break;
    yield piece;
  }
  compare(hash, bytes, named, what);
}

/** `sha256:hex` of these bytes. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function hashFor(digest: string): Hash {
  if (!isImageDigest(digest))
    throw new Fault('NotAContainerDisk', 'a digest of the image is neither sha256 nor sha512');
  return createHash(digest.slice(0, digest.indexOf(':')));
}

function compare(hash: Hash, bytes: number, { digest, size }: Named, what: string): void {
  const facts = { asked: digest, size };
  if (bytes !== size) {
    const found = bytes > size ? 'more' : `${bytes}`;
    throw new Fault('ChecksumMismatch', `${what} ${digest} is to have ${size} bytes and has ${found}`, { facts });
  }
  const found = `${digest.slice(0, digest.indexOf(':'))}:${hash.digest('hex')}`;
  if (found !== digest) throw new Fault('ChecksumMismatch', `${what} ${digest} really is ${found}`, { facts });
}
