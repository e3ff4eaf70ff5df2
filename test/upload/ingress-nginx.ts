// Debian's nginx before an upload proxy, set up as ingress-nginx sets one up for an Ingress: the same directives by the same annotations, and its defaults
// where there is none. Everything of it lies in one directory.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { TlsPair } from '../../runtime/certificates.ts';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { until } from '../service-fixture.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

type Annotations = Readonly<Record<string, string>>;

/** Directive by annotation, with what ingress-nginx writes where the annotation is not there. */
const directives: Readonly<Record<string, { name: string; otherwise: string; unit?: string }>> = {
  'proxy-body-size': { name: 'client_max_body_size', otherwise: '1m' },
  'proxy-request-buffering': { name: 'proxy_request_buffering', otherwise: 'on' },
  'proxy-connect-timeout': { name: 'proxy_connect_timeout', otherwise: '5', unit: 's' },
  'proxy-read-timeout': { name: 'proxy_read_timeout', otherwise: '60', unit: 's' },
  'proxy-send-timeout': { name: 'proxy_send_timeout', otherwise: '60', unit: 's' },
};
const prefix = 'nginx.ingress.kubernetes.io/';
const protocol = `${prefix}backend-protocol`;

/** What the chart puts on its Ingress by default. */
export async function annotationsOfChart(): Promise<Annotations> {
  const path = join(import.meta.dirname, '../../charts/longshore/values.yaml');
  // Safe: chart-values.test.ts holds the values against their schema.
  const values = parse(await readFile(path, 'utf8')) as { uploadProxy: { ingress: { annotations: Annotations } } };
  return values.uploadProxy.ingress.annotations;
}

export interface IngressWishes {
  annotations: Annotations;
  /** host:port of the upload proxy. */
  upstream: string;
  /** What clients see. */
  tls: TlsPair;
}

export class IngressNginx implements AsyncDisposable {
  readonly url: string;
  readonly #directory: string;
  readonly #parts: AsyncDisposableStack;

  private constructor(url: string, directory: string, parts: AsyncDisposableStack) {
    this.url = url;
    this.#directory = directory;
    this.#parts = parts;
  }

  /** @throws where nginx does not take its settings */
  static async start({ annotations, upstream, tls }: IngressWishes): Promise<IngressNginx> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'ingress');
    await chmod(directory, 0o755);
    await mkdir(join(directory, 'bodies'));
    // Its own ordinary user writes there.
    await chmod(join(directory, 'bodies'), 0o777);
    await writeFile(join(directory, 'tls.crt'), tls.cert);
    await writeFile(join(directory, 'tls.key'), tls.key, { mode: 0o600 });
    const port = await freePort();
    const settings = join(directory, 'nginx.conf');
    await writeFile(settings, settingsText({ directory, port, upstream, location: locationOf(annotations) }));
    const child = spawn('/usr/sbin/nginx', ['-c', settings, '-e', join(directory, 'error.log')], { stdio: 'ignore' });
    undo.defer(() => stopChild(child));
    const log = () => readFile(join(directory, 'error.log'), 'utf8').catch(() => 'nginx could not be started');
    await until('nginx serves', () => isThere(join(directory, 'nginx.pid'))).catch(async (error: unknown) => {
      throw new Error(await log(), { cause: error });
    });
    return new IngressNginx(`https://127.0.0.1:${port}`, directory, undo.move());
  }

  /** Bodies that it has put aside before it passed them on. */
  async keptBodies(): Promise<string[]> {
    return readdir(join(this.#directory, 'bodies'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.disposeAsync();
  }
}

/** The lines that annotations decide; one that is not known here fails, so that what the chart says is looked at. */
function locationOf(annotations: Annotations): string {
  const names = Object.keys(annotations).map((name) => name.replace(prefix, ''));
  const unknown = names.filter((name) => directives[name] === undefined && `${prefix}${name}` !== protocol);
  if (unknown.length > 0) throw new Error(`not known what ingress-nginx makes of ${unknown}`);
  const lines = Object.entries(directives).map(([annotation, { name, otherwise, unit = '' }]) => {
    return `${name} ${annotations[`${prefix}${annotation}`] ?? otherwise}${unit};`;
  });
  return [...lines, `proxy_pass ${(annotations[protocol] ?? 'HTTP').toLowerCase()}://upload_proxy;`].join('\n      ');
}

interface Settings {
  directory: string;
  port: number;
  upstream: string;
  location: string;
}

function settingsText({ directory, port, upstream, location }: Settings): string {
  const temporary = ['proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`);
  return `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${directory}/bodies;
  ${temporary.join('\n  ')}
  client_header_timeout 60s;
  client_body_timeout 60s;
  client_body_buffer_size 8k;
  upstream upload_proxy { server ${upstream}; keepalive 320; }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${directory}/tls.crt;
    ssl_certificate_key ${directory}/tls.key;
    location / {
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_next_upstream error timeout;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      ${location}
    }
  }
}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { port } = await listenOn(server, { host: '127.0.0.1', port: 0 });
  await closeServer(server);
  return port;
}

async function isThere(path: string): Promise<boolean> {
  return (await readFile(path, 'utf8')) !== '';
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  child.kill('SIGTERM');
  await promise;
}
