// Checksums that users give, `algorithm:hex`, over the bytes as the source serves them. Format and messages are CDI's.

const hexLengths = { md5: 32, sha1: 40, sha256: 64, sha512: 128 } as const;

export type ChecksumAlgorithm = keyof typeof hexLengths;

/** A checksum that is well formed; `hex` in lower case. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly hex: string;
}

function isAlgorithm(name: string): name is ChecksumAlgorithm {
  return Object.hasOwn(hexLengths, name);
}

/** @returns the checksum, or what is wrong with it in CDI's words */
export function parseChecksum(text: string): { checksum: Checksum } | { problem: string } {
  const colon = text.indexOf(':');
  if (colon < 0) return { problem: `invalid checksum format: expected 'algorithm:hash', got '${text}'` };
  const algorithm = text.slice(0, colon).trim().toLowerCase();
  const hex = text
    .slice(colon + 1)
    .trim()
    .toLowerCase();
  if (hex === '') return { problem: 'checksum hash value cannot be empty' };
  if (!isAlgorithm(algorithm)) {
    const supported = Object.keys(hexLengths).join(', ');
    return { problem: `unsupported hash algorithm '${algorithm}': supported algorithms are: ${supported}` };
  }
  const expected = hexLengths[algorithm];
  if (hex.length !== expected) {
    return { problem: `invalid ${algorithm} hash length: expected ${expected} hex characters, got ${hex.length}` };
  }
  if (!/^[0-9a-f]+$/.test(hex)) return { problem: 'checksum hash is not valid hexadecimal' };
  return { checksum: { algorithm, hex } };
}

/** `algorithm:hex`. */
export function formatChecksum(checksum: Checksum): string {
  return `${checksum.algorithm}:${checksum.hex}`;
}
