// A program for a test: imports from a name that this file of hosts gives another address after the first answer, then from one that has two, of which one
// is allowed. Prints how both ended, and how often the forbidden address was connected to. Its own /etc/hosts has to be that file.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { ImportBench } from './import-bench.ts';

const sizeBytes = 4 * 1_048_576;
const disk = randomBytes(sizeBytes);
const hosts = process.argv[2] ?? '';
const usual = readFileSync(hosts, 'utf8');
let [answered, caught] = [0, 0];

function nameIs(...addresses: string[]): void {
  writeFileSync(hosts, `${usual}\n${addresses.map((address) => `${address} disks.example\n`).join('')}`);
}

const server = createHttpServer((request, response) => {
  answered += 1;
  const [, start = '0', end = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const part = disk.subarray(Number(start), end === '' ? undefined : Number(end) + 1);
  const range = `bytes ${start}-${Number(start) + part.length - 1}/${disk.length}`;
  const told = { etag: '"1"', 'content-length': part.length, 'content-range': range };
  // The next one is a connection of its own.
  response.writeHead(206, { ...told, connection: 'close' }).end(part);
  if (request.url === '/changed') nameIs('127.0.0.2');
});
const { port } = await listenOn(server, { host: '127.0.0.1', port: 0 });
const trap = createServer((socket) => {
  caught += 1;
  socket.destroy();
});
await listenOn(trap, { host: '127.0.0.2', port });
const bench = await ImportBench.make({ config: { sourceAllow: '127.0.0.1' } });

async function endOf(path: string) {
  const { code, detail, left } = await bench.import(`http://disks.example:${port}${path}`, sizeBytes);
  return { code, detail, left };
}

nameIs('127.0.0.1');
const changed = await endOf('/changed');
nameIs('127.0.0.2', '127.0.0.1');
const both = await endOf('/both');
await bench.close();
server.closeAllConnections();
await Promise.all([closeServer(server), closeServer(trap)]);
process.stdout.write(JSON.stringify({ changed, both, answered, caught }));
