// `checkpoint.json` of a staging: how much of a file an attempt has made durable, and of which content. The successor of a worker that was killed may go on from
// there. Written in one step after the bytes were synced; what is torn, unknown or does not fit the file counts as none.
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { blockBytes } from '../domain/digest.ts';

const checkpointVersion = 1;

const CheckpointFile = Type.Object({
  schemaVersion: Type.Literal(checkpointVersion),
  /** Name of the file in the staging. */
  file: Type.Union([Type.Literal('disk.img'), Type.Literal('source')]),
  /** From the beginning of the file: whole blocks, each as the content has it. */
  bytes: Type.Integer({ minimum: blockBytes, multipleOf: blockBytes }),
  /** How long the file was at least; zeros at its end are not written. */
  fileBytes: Type.Integer({ minimum: 0 }),
  /** Of the content whose beginning it is, as its source told it. */
  content: Type.Object({
    /** Digest of where it lies. */
    place: Type.String(),
    /** What proves that it is still the same. */
    validator: Type.String(),
    totalBytes: Type.Integer({ minimum: 0 }),
    /** Digest of how it begins. */
    head: Type.String(),
  }),
});
const validator = Compile(CheckpointFile);

export type Checkpoint = Omit<Static<typeof CheckpointFile>, 'schemaVersion'>;

export function checkpointPath(directory: string): string {
  return join(directory, 'checkpoint.json');
}

export function checkpointText(checkpoint: Checkpoint): string {
  return JSON.stringify({ schemaVersion: checkpointVersion, ...checkpoint });
}

/** @param diskDirectory where disk.img lies. @returns undefined where there is none that the file bears out */
export async function readCheckpoint(directory: string, diskDirectory: string): Promise<Checkpoint | undefined> {
  const text = await readFile(checkpointPath(directory), 'utf8').catch(() => ''); // what cannot be read is none
  const found = parsed(text);
  if (!validator.Check(found)) return undefined;
  const { schemaVersion: _, ...checkpoint } = found;
  const place = checkpoint.file === 'disk.img' ? diskDirectory : directory;
  const file = await lstat(join(place, checkpoint.file)).catch(() => undefined);
  return file?.isFile() === true && file.size >= checkpoint.fileBytes ? checkpoint : undefined;
}

/** Removes all of the staging but the file of the checkpoint, and the checkpoint. */
export async function leaveOnlyKept(directory: string, { file }: Checkpoint): Promise<void> {
  const kept = new Set([file, 'checkpoint.json']);
  for (const name of await readdir(directory)) {
    if (!kept.has(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
