// Where a worker of this machine fetches the bodies of uploads: a unix socket in a directory that only this user reaches. It saves the second encryption, and
// HTTP, which alone would cost both processes three times as much. Who dials shows a ticket that the request over mTLS told; any other is let go.
import { readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { formatHandedBody, isBodySocket, newBodySocketName, newTicket, ticketBytes } from '../jobs/handed-body.ts';
import { closeServer, listenAt } from '../runtime/listen.ts';
import { PrivateDirectory } from '../runtime/private-directory.ts';

/** A body that waits for its worker. */
export interface OfferedBody {
  /** What the request tells the worker. */
  readonly header: string;
  /** The connection of the worker; stays pending where none comes. */
  readonly taken: Promise<Socket>;
  /** Nobody gets it any more who has not got it. */
  withdraw(): void;
}

/** For whoever dials to show a ticket. */
const greetingMs = 10_000;

export class BodySocket {
  readonly #directory: PrivateDirectory;
  readonly #name = newBodySocketName();
  readonly #offers = new Map<string, (worker: Socket) => void>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((socket) => this.#greet(socket));

  private constructor(directory: PrivateDirectory) {
    this.#directory = directory;
  }

  /** @returns undefined where others reach the directory. @throws Fault */
  static async listen(path: string): Promise<BodySocket | undefined> {
    const directory = await PrivateDirectory.open(path);
    if (directory === undefined) return undefined;
    const bodies = new BodySocket(directory);
    try {
      await removeStale(directory);
      await listenAt(bodies.#server, directory.addressOf(bodies.#name));
    } catch (error) {
      await directory[Symbol.asyncDispose]();
      throw error;
    }
    return bodies;
  }

  /** Whether a worker that looks at that directory can dial. */
  isReachedFrom(directoryIdentity: string | undefined): boolean {
    return directoryIdentity === this.#directory.identity;
  }

  offer(): OfferedBody {
    const ticket = newTicket();
    const { promise, resolve } = Promise.withResolvers<Socket>();
    this.#offers.set(ticket, resolve);
    return {
      header: formatHandedBody({ socketName: this.#name, ticket }),
      taken: promise,
      withdraw: () => void this.#offers.delete(ticket),
    };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
    await this.#directory[Symbol.asyncDispose]();
  }

  #greet(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined); // a worker that went away answers its request, or ends that connection too
    const timer = setTimeout(() => socket.destroy(), greetingMs);
    let shown = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      shown += text;
      if (shown.length < ticketBytes) return;
      clearTimeout(timer);
      const take = this.#offers.get(shown);
      this.#offers.delete(shown);
      // Nothing more comes from there but its end.
      if (take === undefined) socket.destroy();
      else take(socket);
    });
    socket.once('close', () => clearTimeout(timer));
  }
}

/** Sockets of proxies that were killed: nobody answers there. */
async function removeStale(directory: PrivateDirectory): Promise<void> {
  for (const name of await readdir(directory.path)) {
    if (!isBodySocket(name) || (await isAnswered(directory.addressOf(name)))) continue;
    await rm(join(directory.path, name), { force: true });
  }
}

function isAnswered(address: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(address);
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
