// The private directory of one attempt. Whatever an attempt writes lies here until the pool commits it; whoever takes the fence ends the children
// recorded here and removes it whole. Children and the mark of a received upload are on disk, so that the next service can do the same.
//
//   staging/<volume id>.<attempt>/disk.img       what is to be committed
//                                 data/          the same where it is a directory of files
//                                 source         an upload that needs random access, as it came
//                                 children.json  pid and start time of every program that writes here
//                                 received.json  the upload in `source` is complete and durable
//                                 checkpoint.json  how much of disk.img or source is durable; see checkpoint.ts
import { lstat, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import { syncDirectory, writeDurably } from '../runtime/durable-file.ts';
import { identityOf, killIfSame, ProcessIdentity } from '../runtime/process-identity.ts';
import { type Checkpoint, checkpointPath, checkpointText } from './checkpoint.ts';
import { removeTree } from './remove-tree.ts';

const stagingVersion = 1;

const Children = Type.Object({ schemaVersion: Type.Literal(stagingVersion), children: Type.Array(ProcessIdentity) });
const Received = Type.Object({
  schemaVersion: Type.Literal(stagingVersion),
  bytes: Type.Integer({ minimum: 0 }),
  sourceDigest: Type.Optional(Type.String()),
});
const childrenValidator = Compile(Children);
const receivedValidator = Compile(Received);

/** What is known of an upload whose bytes are durable. */
export type ReceivedUpload = Omit<Static<typeof Received>, 'schemaVersion'>;

/** What the pool does for its stagings. */
export interface StagingKeeper {
  /** What gives way to scratch has given way when this returns. */
  makeRoom(bytes: number): Promise<void>;
  promiseScratch(staging: Staging, bytes: number): void;
  discard(staging: Staging): Promise<void>;
  /** As `discard`, but the directory stays for the next service. */
  leave(staging: Staging): Promise<void>;
}

export interface StagingPlace {
  volumeId: VolumeId;
  attempt: number;
  directory: string;
  inner: string | undefined;
  received?: ReceivedUpload;
  kept?: Checkpoint;
}

export class Staging {
  readonly volumeId: VolumeId;
  readonly attempt: number;
  readonly directory: string;
  readonly #keeper: StagingKeeper;
  readonly #ending = new AbortController();
  #children: ProcessIdentity[] = [];
  #received: ReceivedUpload | undefined;
  #kept: Checkpoint | undefined;
  #writing: Promise<void> = Promise.resolve();
  #inner: string | undefined;

  constructor(keeper: StagingKeeper, place: StagingPlace) {
    this.#keeper = keeper;
    this.volumeId = place.volumeId;
    this.attempt = place.attempt;
    this.directory = place.directory;
    this.#inner = place.inner;
    this.#received = place.received;
    this.#kept = place.kept;
  }

  /** Where disk.img or data/ lie in place of `directory`: in the file system of the volume itself. */
  get inner(): string | undefined {
    return this.#inner;
  }
  get diskPath(): string {
    return join(this.inner ?? this.directory, 'disk.img');
  }
  get dataPath(): string {
    return join(this.inner ?? this.directory, 'data');
  }
  get sourcePath(): string {
    return join(this.directory, 'source');
  }
  /** Aborts, with the Fault, when the attempt loses the volume. Whatever writes here for long listens to it. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Records a child that writes here; durable when it returns. A child that has ended already needs no record. */
  async adopt(pid: number): Promise<void> {
    this.assertHeld();
    const child = identityOf(pid);
    if (child === undefined) return;
    this.#children.push(child);
    const children: Static<typeof Children> = { schemaVersion: stagingVersion, children: this.#children };
    await this.#write(childrenPath(this.directory), JSON.stringify(children));
  }

  /** From now on the upload survives a crash. Who calls has fsynced `source`. */
  async markReceived(upload: ReceivedUpload): Promise<void> {
    this.assertHeld();
    await syncDirectory(this.directory);
    await this.#write(receivedPath(this.directory), JSON.stringify({ schemaVersion: stagingVersion, ...upload }));
    this.#received = upload;
  }

  received(): ReceivedUpload | undefined {
    return this.#received;
  }

  /** What a killed attempt left here: who does not go on from it owes `forgetKept` before anything is written. */
  get kept(): Checkpoint | undefined {
    return this.#kept;
  }

  async forgetKept(): Promise<void> {
    this.assertHeld();
    if (this.#kept === undefined) return;
    await rm(checkpointPath(this.directory), { force: true });
    await rm(this.#kept.file === 'disk.img' ? this.diskPath : this.sourcePath, { force: true });
    this.#kept = undefined;
  }

  /** From now on the next attempt may go on from there if this process is killed. Who calls has fsynced the file. */
  async mark(checkpoint: Checkpoint): Promise<void> {
    this.assertHeld();
    await this.#write(checkpointPath(this.directory), checkpointText(checkpoint));
  }

  /**
   * Promises room beside the volume's own for an uploaded source or scratch, until the staging is gone.
   * @throws Fault PoolFull
   */
  async reserveScratch(bytes: number): Promise<void> {
    this.assertHeld();
    await this.#keeper.makeRoom(bytes);
    // The room of an attempt that was ended meanwhile would never be given back.
    this.assertHeld();
    this.#keeper.promiseScratch(this, bytes);
  }

  /** @throws Fault StaleAttempt, or the reason of a cancel, when the attempt does not own the volume any more */
  assertHeld(): void {
    if (!this.#ending.signal.aborted) return;
    const reason: unknown = this.#ending.signal.reason;
    throw reason instanceof Fault ? reason : new Fault('StaleAttempt', `attempt ${this.attempt} was ended`);
  }

  /** Ends the children and removes everything. Doing it twice is no error. */
  async discard(): Promise<void> {
    await this.#keeper.discard(this);
  }

  /** The service stops, and the next one may go on from the last mark; without a mark all is removed. Nobody writes here any more. */
  async leave(): Promise<void> {
    await this.#keeper.leave(this);
  }

  /** The pool's own: what was staged in the file system of the volume is the volume's, and from now on so may be what is called like `inner`. */
  async giveUpInner(): Promise<void> {
    if (this.#inner === undefined) return;
    await removeStaging(this.#inner);
    this.#inner = undefined;
  }

  /** The pool's own: no later call goes through, and what was being recorded is when this returns. */
  async end(reason: Fault): Promise<void> {
    if (!this.#ending.signal.aborted) this.#ending.abort(reason);
    await this.#writing;
  }

  /** Writes of two children must not overtake each other. */
  async #write(path: string, content: string): Promise<void> {
    const before = this.#writing;
    const mine = before.then(() => writeDurably(path, `${content}\n`, 0o600));
    this.#writing = mine.catch(() => undefined); // told to its own caller
    await mine;
  }
}

/**
 * Ends the children recorded in a staging directory, of whichever service, then removes the directory.
 * @throws Fault TimedOut or PermissionDenied where a child does not end; the directory is still there then
 */
export async function removeStaging(directory: string): Promise<void> {
  // A link is removed as such: what it leads to is not ours.
  if ((await lstat(directory).catch(() => undefined))?.isDirectory() === true) {
    await endChildren(directory);
    await removeUnpacked(join(directory, 'data'));
  }
  // Whoever still writes here was told to stop, and may make one more file meanwhile.
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

/** What an archive holds may be more and deeper than a path can name. What cannot be removed yet is told by who removes the rest. */
async function removeUnpacked(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there !== undefined) await removeTree(path).catch(() => undefined);
}

/** An unreadable children.json ends nobody: it was being written when the power went, and then no child lives. */
export async function endChildren(directory: string): Promise<void> {
  const file = await readJson(childrenPath(directory));
  if (!childrenValidator.Check(file)) return;
  await Promise.all(file.children.map(killIfSame));
}

/** The mark of a received upload, if its bytes are durable. */
export async function readReceived(directory: string): Promise<ReceivedUpload | undefined> {
  const file = await readJson(receivedPath(directory));
  if (!receivedValidator.Check(file)) return undefined;
  const { schemaVersion: _, ...upload } = file;
  return upload;
}

function childrenPath(directory: string): string {
  return join(directory, 'children.json');
}

function receivedPath(directory: string): string {
  return join(directory, 'received.json');
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (absent || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
