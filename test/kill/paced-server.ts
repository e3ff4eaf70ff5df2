// A web server for one directory of files, with ranges and validators, that hands out each connection's bytes at a set pace. Counts what it sent.
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

const chunkBytes = 128 * 1024;

export class PacedServer {
  /** Bytes a second and connection. */
  bytesPerSecond: number;
  sentBytes = 0;
  /** Part of every validator: another one says that all contents changed. */
  edition = 1;
  readonly #directory: string;
  readonly #server: Server;

  private constructor(directory: string, bytesPerSecond: number) {
    this.#directory = directory;
    this.bytesPerSecond = bytesPerSecond;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy()); // the client went away
    });
  }

  static async start(directory: string, bytesPerSecond: number): Promise<PacedServer> {
    const server = new PacedServer(directory, bytesPerSecond);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  urlOf(name: string): string {
    // Safe: it listens on TCP.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const file = await open(join(this.#directory, basename(request.url ?? '')));
    try {
      const { size } = await file.stat();
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
      const start = range === null ? 0 : Number(range[1]);
      const end = range === null || range[2] === '' ? size : Math.min(size, Number(range[2]) + 1);
      response.writeHead(range === null ? 200 : 206, {
        'content-length': end - start,
        'accept-ranges': 'bytes',
        etag: `"${basename(request.url ?? '')}-${size}-${this.edition}"`,
        ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
      });
      await pipeline(this.#paced(file, start, end), response);
    } finally {
      await file.close();
    }
  }

  async *#paced(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
    for (let position = start; position < end; ) {
      const buffer = Buffer.alloc(Math.min(chunkBytes, end - position));
      const { bytesRead } = await file.read({ buffer, position });
      position += bytesRead;
      this.sentBytes += bytesRead;
      yield buffer.subarray(0, bytesRead);
      await delay((bytesRead / this.bytesPerSecond) * 1000);
    }
  }
}
