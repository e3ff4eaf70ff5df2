// nginx for the benchmark: serves the images over HTTP and takes uploads by WebDAV over TLS. Everything of it lies in one directory.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface BenchNginx {
  httpUrl: string;
  davUrl: string;
  certificate: string;
  /** Where what was uploaded lies. */
  uploads: string;
  stop(): Promise<void>;
}

export async function startNginx(cache: string, images: string): Promise<BenchNginx> {
  const directory = join(cache, 'nginx');
  await rm(directory, { recursive: true, force: true });
  const uploads = join(directory, 'uploads');
  for (const name of ['uploads', 'temp']) await mkdir(join(directory, name), { recursive: true });
  for (const path of [directory, uploads, join(directory, 'temp')]) await chmod(path, 0o777);
  const certificate = join(directory, 'server.crt');
  await makeCertificate(directory, certificate);
  const [httpPort, davPort] = [await freePort(), await freePort()];
  const config = join(directory, 'nginx.conf');
  await writeFile(config, configuration({ directory, images, httpPort, davPort }));
  const child = spawn('nginx', ['-c', config, '-e', join(directory, 'error.log')], {
    stdio: 'ignore',
    env: withSbin(),
  });
  await untilListening(child, davPort);
  return {
    httpUrl: `http://127.0.0.1:${httpPort}`,
    davUrl: `https://127.0.0.1:${davPort}`,
    certificate,
    uploads,
    stop: () => stopChild(child),
  };
}

function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
}

async function makeCertificate(directory: string, certificate: string): Promise<void> {
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', join(directory, 'server.key'), '-out', certificate];
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', ...subject, ...files]);
}

interface Places {
  directory: string;
  images: string;
  httpPort: number;
  davPort: number;
}

function configuration({ directory, images, httpPort, davPort }: Places): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${directory}/temp/${name};`)
    .join('\n');
  return `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
events { worker_connections 256; }
http {
  access_log off;
  sendfile on;
${temp}
  server {
    listen 127.0.0.1:${httpPort};
    root ${images};
  }
  server {
    listen 127.0.0.1:${davPort} ssl;
    ssl_certificate ${directory}/server.crt;
    ssl_certificate_key ${directory}/server.key;
    root ${directory}/uploads;
    client_max_body_size 0;
    dav_methods PUT DELETE;
  }
}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Safe: a server that listens on a port has an address of this shape.
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error('nginx did not start');
    await delay(50);
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
