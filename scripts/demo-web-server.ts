// A small web server for the files of one directory, with ranges and a validator, slow enough that one can see the progress.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

const chunkBytes = 64 * 1024;

export interface WebServer {
  urlOf(path: string): string;
  close(): void;
}

export async function startWebServer(
  directory: string,
  bytesPerSecond: number,
  host = '127.0.0.1',
): Promise<WebServer> {
  const server = createServer((request, response) => {
    serveFile(directory, bytesPerSecond, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  // Safe: a server that listens on a port has an address of this shape.
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: (path) => `http://${host}:${port}/${basename(path)}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function serveFile(
  directory: string,
  bytesPerSecond: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = join(directory, basename(request.url ?? ''));
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    response.writeHead(404).end();
    return;
  }
  const { size, mtime } = found;
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range === null ? 0 : Number(range[1]);
  const end = range === null || range[2] === '' ? size - 1 : Math.min(Number(range[2]), size - 1);
  response.writeHead(range === null ? 200 : 206, {
    'content-length': end - start + 1,
    'accept-ranges': 'bytes',
    etag: `"${size.toString(16)}-${mtime.getTime().toString(16)}"`,
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const file = createReadStream(path, { start, end, highWaterMark: chunkBytes });
  await pipeline(file, (bytes: AsyncIterable<Buffer>) => slowly(bytes, bytesPerSecond), response);
}

async function* slowly(bytes: AsyncIterable<Buffer>, bytesPerSecond: number): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    yield chunk;
    await delay((chunk.length / bytesPerSecond) * 1000);
  }
}
