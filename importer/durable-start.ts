// The beginning of a source that a killed attempt brought and made durable: an import goes on from there where the source proves that its content is still the
// same, and else begins at byte 0 and says why. What lies on disk is read once more, for the digests are of the whole.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { Fault } from '../domain/fault.ts';
import { AlignedMemory } from '../volumes/aligned-memory.ts';
import type { Checkpoint } from '../volumes/checkpoint.ts';
import { openDirect } from '../volumes/direct-file.ts';
import type { DurableMarksOptions } from '../volumes/durable-marks.ts';
import type { Staging } from '../volumes/staging.ts';
import { firstRequestBytes, type ImageSource, type SourceContinuation } from './image-source.ts';
import type { SourceLocation } from './open-source.ts';
import type { ByteStream } from './peeked-stream.ts';
import type { ImportPlan } from './plan.ts';
import type { Transfer } from './transfer.ts';

const MiB = 1_048_576;
const readBlocks = 4;

type Content = Checkpoint['content'];

/** The content in order, of which the first bytes may come from the staging. */
export class DurableStart implements ByteStream {
  /** Of the file that is written: these are there already. 0: none. */
  readonly keptBytes: number;
  /** Undefined where nobody could go on from them. */
  readonly marks: DurableMarksOptions | undefined;
  readonly #source: ImageSource;
  readonly #path: string;

  private constructor(source: ImageSource, path: string, keptBytes: number, marks?: DurableMarksOptions) {
    this.#source = source;
    this.#path = path;
    this.keptBytes = keptBytes;
    this.marks = marks;
  }

  /** Nothing of what was kept stays in the staging, unless it is where the import goes on. */
  static async of(
    source: ImageSource,
    location: SourceLocation,
    plan: ImportPlan,
    { probe, staging, hooks }: Transfer,
  ): Promise<DurableStart> {
    const file = plan.strategy === 'stream' ? ('disk.img' as const) : ('source' as const);
    const path = file === 'disk.img' ? staging.diskPath : staging.sourcePath;
    const { continuation } = source;
    // Of what is unpacked on the way no byte of the source tells where it lies in the file.
    const isMarked = plan.strategy !== 'nbd' && probe.compressions.length === 0 && continuation !== undefined;
    const content = isMarked ? await contentOf(source, location, continuation) : undefined;
    const keptBytes = await keptBytesOf(staging, { file, content }, hooks.logger);
    if (content === undefined) return new DurableStart(source, path, keptBytes);
    const onDurable = (bytes: number, fileBytes: number) => staging.mark({ file, bytes, fileBytes, content });
    return new DurableStart(source, path, keptBytes, { everyBytes: hooks.config.checkpointMiB * MiB, onDurable });
  }

  head(bytes: number): Promise<Buffer> {
    return this.#source.head(bytes);
  }

  pieces(): AsyncGenerator<Buffer, void, undefined> {
    // Handed out as it is: to delegate to it would cost a promise more for each piece.
    return this.keptBytes === 0 ? this.#source.pieces() : this.#goneOn();
  }

  async *#goneOn(): AsyncGenerator<Buffer, void, undefined> {
    const { continuation } = this.#source;
    if (continuation === undefined) throw new Fault('Internal', 'the source cannot go on in the middle');
    yield* beginningOf(this.#path, this.keptBytes);
    yield* continuation.piecesFrom(this.keptBytes);
  }
}

async function contentOf(
  source: ImageSource,
  location: SourceLocation,
  { place, validator }: SourceContinuation,
): Promise<Content> {
  return {
    place: sha256(JSON.stringify([location.kind, location.url, place])),
    validator,
    totalBytes: source.totalBytes ?? 0,
    head: sha256(await source.head(firstRequestBytes)),
  };
}

async function keptBytesOf(
  staging: Staging,
  { file, content }: { file: Checkpoint['file']; content: Content | undefined },
  logger: Transfer['hooks']['logger'],
): Promise<number> {
  const { kept } = staging;
  if (kept === undefined) return 0;
  const why = whyNot(kept, file, content);
  if (why === undefined) {
    logger.info({ keptBytes: kept.bytes, totalBytes: kept.content.totalBytes }, 'the import goes on where it was');
    return kept.bytes;
  }
  logger.warn({ keptBytes: kept.bytes, why }, 'the import starts over');
  await staging.forgetKept();
  return 0;
}

/** Why an import cannot go on from the checkpoint. */
function whyNot(kept: Checkpoint, file: Checkpoint['file'], content: Content | undefined): string | undefined {
  if (content === undefined) return 'the source does not prove any more that its content is the same';
  const { validator, totalBytes, place, head } = kept.content;
  if (validator !== content.validator) return `the source changed: it was ${validator} and is ${content.validator}`;
  if (totalBytes !== content.totalBytes || kept.bytes > totalBytes)
    return `the source changed: it had ${totalBytes} bytes and has ${content.totalBytes}`;
  if (place !== content.place) return 'the content lies at another place';
  if (head !== content.head) return 'the source begins in another way, though it says that it is the same';
  return kept.file === file ? undefined : 'the image comes in another way';
}

async function* beginningOf(path: string, bytes: number): AsyncGenerator<Buffer, void, undefined> {
  const { file } = await openDirect(path, constants.O_RDONLY);
  const memory = AlignedMemory.take(readBlocks);
  try {
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await file.read(memory.whole, 0, Math.min(memory.whole.byteLength, bytes - at), at);
      if (bytesRead === 0) throw new Fault('Internal', `${path} became shorter`);
      yield memory.whole.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    memory.giveBack();
    await file.close();
  }
}

function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}
