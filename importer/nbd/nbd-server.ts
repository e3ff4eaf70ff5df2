// A read-only NBD server on a private unix socket, through which qemu-img reads a source. It claims to be as large as NBD allows: whatever
// qemu-img reads beyond the real end then comes here and is CorruptImage, where a true size would make qemu fill up with silent zeros.
import { chmod, type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Fault, toFault } from '../../domain/fault.ts';
import { NbdSession } from './nbd-session.ts';
import type { RandomReader } from './random-reader.ts';

/** Largest size that qemu takes: a multiple of 1 GiB below 2^63. */
const claimedBytes = 0x7fffffffc0000000n;

export class NbdServer {
  readonly socketPath: string;
  readonly #server: Server;
  readonly #place: FileHandle;
  readonly #directory: string;
  readonly #sockets = new Set<Socket>();
  readonly #failed = new AbortController();

  private constructor(directory: string, place: FileHandle, reader: RandomReader) {
    this.#directory = directory;
    this.#place = place;
    this.socketPath = join(directory, 'nbd');
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined); // a client that is killed; whoever ended it knows why
      socket.on('close', () => this.#sockets.delete(socket));
      new NbdSession(socket, reader, claimedBytes).run().catch((error: unknown) => this.#fail(error));
    });
  }

  /**
   * @param directory is made; only the socket lies in it, and `close` removes it
   * @throws Fault where the socket cannot be made
   */
  static async listen(directory: string, reader: RandomReader): Promise<NbdServer> {
    await mkdir(directory, { mode: 0o711 });
    // Isolated clients have no right on the directory but to pass through it; the socket itself is given to them by who starts them.
    await chmod(directory, 0o711);
    const place = await open(directory, 'r');
    const server = new NbdServer(directory, place, reader);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.#server.once('error', (error) => reject(toFault(error)));
    // By way of the descriptor, since the address of a socket has at most 107 characters.
    server.#server.listen(`/proc/self/fd/${place.fd}/nbd`, () => resolve());
    await promise;
    return server;
  }

  /** Aborts with the fault of the reader: whoever waits for a client should end it then. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
    await this.#place.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** A client that went away while it was answered is no failure of the reader. */
  #fail(error: unknown): void {
    if (error instanceof Fault) this.#failed.abort(error);
    else if (!isGone(error)) this.#failed.abort(toFault(error));
  }
}

function isGone(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return ['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_PREMATURE_CLOSE'].includes(String(error.code));
}
