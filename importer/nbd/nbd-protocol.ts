// The messages of the NBD protocol that a read-only server needs: fixed newstyle handshake, NBD_OPT_GO, simple replies (NBD's doc/proto.md). Pure.

const handshakeFlags = { fixedNewstyle: 1, noZeroes: 2 };
export const options = { exportName: 1, abort: 2, list: 3, info: 6, go: 7 };
export const replies = { ack: 1, server: 2, info: 3, unsupported: 0x80000001, invalid: 0x80000003 };
export const commands = { read: 0, write: 1, disconnect: 2, flush: 3 };
export const errnos = { none: 0, notPermitted: 1, inputOutput: 5, invalid: 22 };

const initialMagic = 'NBDMAGICIHAVEOPT';
const optionMagic = Buffer.from('IHAVEOPT', 'latin1');
const optionReplyMagic = 0x0003e889045565a9n;
const requestMagic = 0x25609513;
const simpleReplyMagic = 0x67446698;
const infoTypes = { export: 0, blockSize: 3 };
/** HAS_FLAGS, READ_ONLY, CAN_MULTI_CONN. */
const transmissionFlags = 1 | 2 | 256;

export const optionHeaderBytes = 16;
export const requestBytes = 28;
/** Most that one read may ask for. */
export const longestReadBytes = 32 * 1024 * 1024;
const preferredBlockBytes = 65_536;

export function greeting(): Buffer {
  const flags = Buffer.alloc(2);
  flags.writeUInt16BE(handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes);
  return Buffer.concat([Buffer.from(initialMagic, 'latin1'), flags]);
}

/** @returns undefined where it is no option */
export function parseOptionHeader(bytes: Buffer): { option: number; length: number } | undefined {
  if (!bytes.subarray(0, 8).equals(optionMagic)) return undefined;
  return { option: bytes.readUInt32BE(8), length: bytes.readUInt32BE(12) };
}

export function optionReply(option: number, type: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(20);
  header.writeBigUInt64BE(optionReplyMagic, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(type, 12);
  header.writeUInt32BE(payload.byteLength, 16);
  return Buffer.concat([header, payload]);
}

/** Answers NBD_OPT_INFO and NBD_OPT_GO: size, read-only, block sizes. */
export function exportInfo(option: number, size: bigint): Buffer {
  const blocks = Buffer.alloc(14);
  blocks.writeUInt16BE(infoTypes.blockSize, 0);
  blocks.writeUInt32BE(1, 2);
  blocks.writeUInt32BE(preferredBlockBytes, 6);
  blocks.writeUInt32BE(longestReadBytes, 10);
  const about = Buffer.concat([Buffer.alloc(2), exportSummary(size)]);
  about.writeUInt16BE(infoTypes.export, 0);
  return Buffer.concat([
    optionReply(option, replies.info, about),
    optionReply(option, replies.info, blocks),
    optionReply(option, replies.ack),
  ]);
}

/** Size and flags, as NBD_OPT_EXPORT_NAME wants them. */
export function exportSummary(size: bigint): Buffer {
  const summary = Buffer.alloc(10);
  summary.writeBigUInt64BE(size, 0);
  summary.writeUInt16BE(transmissionFlags, 8);
  return summary;
}

export interface NbdRequest {
  command: number;
  cookie: bigint;
  offset: bigint;
  length: number;
}

/** @returns undefined where it is no request */
export function parseRequest(bytes: Buffer): NbdRequest | undefined {
  if (bytes.readUInt32BE(0) !== requestMagic) return undefined;
  return {
    command: bytes.readUInt16BE(6),
    cookie: bytes.readBigUInt64BE(8),
    offset: bytes.readBigUInt64BE(16),
    length: bytes.readUInt32BE(24),
  };
}

export function simpleReply(cookie: bigint, errno: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(simpleReplyMagic, 0);
  reply.writeUInt32BE(errno, 4);
  reply.writeBigUInt64BE(cookie, 8);
  return reply;
}
