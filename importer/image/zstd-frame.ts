// What the header of a zstd frame (RFC 8878, 3.1.1.1) tells about its content, so that one that is too large is refused before it is fetched. Pure.

/** Length of the content of the first frame that has any; undefined where its header does not tell, or lies beyond `head`. */
export function zstdContentBytes(head: Buffer): number | undefined {
  return contentBytesOfFrame(head.subarray(bytesToSkip(head)));
}

/** Length of the skippable frames that lead (RFC 8878, 3.1.2): such as pzstd writes before each frame. */
function bytesToSkip(head: Buffer): number {
  let at = 0;
  while (at + 8 <= head.byteLength && head.readUInt32LE(at) >>> 4 === 0x184d2a5) at += 8 + head.readUInt32LE(at + 4);
  return at;
}

function contentBytesOfFrame(head: Buffer): number | undefined {
  if (head.byteLength < 18 || head.readUInt32LE(0) !== 0xfd2fb528) return undefined;
  const descriptor = head.readUInt8(4);
  const sizeFlag = descriptor >> 6;
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0x03] ?? 0;
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes;
  switch (sizeFlag) {
    case 0:
      return singleSegment ? head.readUInt8(at) : undefined;
    case 1:
      return head.readUInt16LE(at) + 256;
    case 2:
      return head.readUInt32LE(at);
    default: {
      const bytes = head.readBigUInt64LE(at);
      return bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(bytes);
    }
  }
}
