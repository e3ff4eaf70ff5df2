// Two ends of one unix socket: a near one that reads into one memory again and again, which Node offers only to an end that dials, and a far one for a child to
// inherit. Nothing of it stays in the file system.
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { toFault } from '../domain/fault.ts';
import { listenAt } from './listen.ts';

export interface SocketPair {
  near: NearEnd;
  /** Not read here. Destroyed by the caller, once the child has it. */
  far: Socket;
}

/** As much as the kernel keeps of a unix socket. */
const memoryBytes = 262_144;

/** @param directory where nobody else may go. @throws Fault */
export async function openSocketPair(directory: string): Promise<SocketPair> {
  const server = createServer({ pauseOnConnect: true });
  const far = Promise.withResolvers<Socket>();
  server.once('connection', far.resolve);
  let [place, handle]: [string | undefined, FileHandle | undefined] = [undefined, undefined];
  try {
    place = await mkdtemp(join(directory, 'pair-'));
    handle = await open(place, 'r');
    // By way of the descriptor, since the address of a socket has at most 107 characters.
    const path = `/proc/self/fd/${handle.fd}/socket`;
    await listenAt(server, path);
    return { near: await NearEnd.dial(path), far: await far.promise };
  } catch (error) {
    throw toFault(error);
  } finally {
    server.close(); // nobody else dials; the connection stays
    await handle?.close();
    if (place !== undefined) await rm(place, { recursive: true, force: true });
  }
}

/** A failure shows as the end: whoever holds the far end knows more of it. */
export class NearEnd {
  readonly #socket: Socket;
  /** What came and was not taken yet. Reading stands still while there is something. */
  #piece: Buffer | undefined;
  #ended = false;
  /** Settles when something came, or the end. */
  #change = Promise.withResolvers<void>();

  private constructor(path: string) {
    const memory = Buffer.allocUnsafeSlow(memoryBytes);
    const callback = (bytes: number): boolean => {
      this.#piece = memory.subarray(0, bytes);
      this.#change.resolve();
      return false;
    };
    this.#socket = connect({ path, onread: { buffer: memory, callback } });
    const end = (): void => {
      this.#ended = true;
      this.#change.resolve();
    };
    this.#socket.once('end', end).once('close', end);
  }

  /** @throws the error of the socket */
  static async dial(path: string): Promise<NearEnd> {
    const near = new NearEnd(path);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Its later errors come here too, and nobody hears them.
    near.#socket.once('connect', resolve).on('error', reject);
    await promise;
    return near;
  }

  /** What came, at most so many bytes, which are overwritten once more is asked for; undefined at the end. */
  async take(most: number): Promise<Buffer | undefined> {
    while (this.#piece === undefined) {
      if (this.#ended) return undefined;
      this.#change = Promise.withResolvers<void>();
      this.#socket.resume();
      await this.#change.promise;
    }
    const piece = this.#piece;
    this.#piece = piece.byteLength > most ? piece.subarray(most) : undefined;
    return piece.subarray(0, most);
  }

  /** Returns when the memory of the parts may be used again. */
  async send(...parts: Buffer[]): Promise<void> {
    if (this.#socket.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.cork();
    for (const [index, part] of parts.entries()) {
      this.#socket.write(part, index === parts.length - 1 ? () => resolve() : undefined);
    }
    this.#socket.uncork();
    await promise;
  }

  /** Nothing more is sent. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
