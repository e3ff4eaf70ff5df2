// What a worker is given for one attempt, by the kind of its job; it asks for this over the channel (channel-protocol.ts).
import { type Static, Type } from 'typebox';
import { SourceInputs } from './source-inputs.ts';

/** Files of a tar in place of a disk, as CDI's contentType says it; absent for a disk. */
export const ContentType = Type.Optional(Type.Literal('archive'));

/** Every block is written, not only taken; with `preallocation`. */
export const WrittenBlocks = Type.Optional(Type.Literal(true));

export const BlankInputs = Type.Object({ kind: Type.Literal('blank') });

export const ImportInputs = Type.Object({
  operation: Type.Literal('import'),
  source: Type.Union([SourceInputs, BlankInputs]),
  contentType: ContentType,
  /** What the guest is to see, in bytes. */
  sizeBytes: Type.Integer({ minimum: 1 }),
  /** `algorithm:hex` of the bytes as served. */
  checksum: Type.Optional(Type.String()),
  preallocation: Type.Boolean(),
  writtenBlocks: WrittenBlocks,
});
export type ImportInputs = Static<typeof ImportInputs>;

export const ConvertInputs = Type.Object({
  operation: Type.Literal('convert'),
  sizeBytes: Type.Integer({ minimum: 1 }),
  checksum: Type.Optional(Type.String()),
  preallocation: Type.Boolean(),
  writtenBlocks: WrittenBlocks,
});
export type ConvertInputs = Static<typeof ConvertInputs>;

export const CloneInputs = Type.Object({
  operation: Type.Literal('clone'),
  sourceVolumeId: Type.String(),
  contentType: ContentType,
  sizeBytes: Type.Integer({ minimum: 1 }),
  preallocation: Type.Boolean(),
  writtenBlocks: WrittenBlocks,
});
export type CloneInputs = Static<typeof CloneInputs>;

export const AttemptInputs = Type.Union([ImportInputs, ConvertInputs, CloneInputs]);
export type AttemptInputs = Static<typeof AttemptInputs>;
