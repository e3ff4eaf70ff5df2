// A real S3 server for tests: OpenStack Swift with its s3api, which checks signatures, regions and clocks. One proxy, account, container and object server
// with one disk, on loopback or, its proxy, where it is told, in a directory of its own; gone with `Symbol.asyncDispose`, or with the process that started it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { until } from '../service-fixture.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const run = promisify(execFile);
const rings = ['account', 'container', 'object'] as const;
const searchPath = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';

/** Of another place than the default of S3 clients. */
export const swiftRegion = 'north-1';
/** Buckets may stand before this name. */
export const swiftDomain = 's3.example.test';
export const swiftKeys = { accessKeyId: 'probe:admin', secretAccessKey: 'secretkey' };

interface Ports {
  memcached: number;
  proxy: number;
  skewed: number;
  account: number;
  container: number;
  object: number;
}

export class SwiftServer implements AsyncDisposable {
  readonly client: S3Client;
  readonly origin: string;
  readonly #directory: string;
  readonly #ports: Ports;
  readonly #undo: AsyncDisposableStack;

  private constructor(origin: string, directory: string, ports: Ports, undo: AsyncDisposableStack) {
    this.origin = origin;
    this.#directory = directory;
    this.#ports = ports;
    this.#undo = undo;
    this.client = clientOf(origin);
  }

  /** @param address where its proxy listens @returns a server with the bucket `images` */
  static async start(address = '127.0.0.1'): Promise<SwiftServer> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'swift');
    const ports = await freePorts();
    await configure(directory, ports, address);
    const origin = `http://${address}:${ports.proxy}`;
    launch(undo, 'memcached', ['-l', '127.0.0.1', '-p', `${ports.memcached}`, '-m', '16', '-u', userInfo().username]);
    for (const name of [...rings, 'proxy']) launch(undo, `swift-${name}-server`, [join(directory, `${name}.conf`)]);
    await untilItTakesBuckets(origin);
    return new SwiftServer(origin, directory, ports, undo.move());
  }

  get port(): number {
    return this.#ports.proxy;
  }

  /** Puts an object into the bucket `images`. */
  async put(key: string, body: Buffer): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: 'images', Key: key, Body: body }));
  }

  url(key: string, bucket = 'images'): string {
    return `${this.origin}/${bucket}/${key}`;
  }

  /** Lets anybody read the bucket `images`. @returns the path under which it stands then, for who does not sign */
  async publish(): Promise<string> {
    const user = { 'x-storage-user': swiftKeys.accessKeyId, 'x-storage-pass': swiftKeys.secretAccessKey };
    const login = await fetch(`${this.origin}/auth/v1.0`, { headers: user });
    const path = `${new URL(login.headers.get('x-storage-url') ?? '').pathname}/images`;
    const headers = { 'x-auth-token': login.headers.get('x-auth-token') ?? '', 'x-container-read': '.r:*' };
    const answer = await fetch(`${this.origin}${path}`, { method: 'POST', headers });
    if (!answer.ok) throw new Error(`Swift published nothing: ${answer.status}`);
    return path;
  }

  /** Another door to the same objects, whose clock is two hours ahead. @returns its origin */
  async startSkewed(): Promise<string> {
    const modules = join(this.#directory, 'skewed');
    await mkdir(modules);
    const code = 'import time\nreal = time.time\ntime.time = lambda: real() + 7200\n';
    await writeFile(join(modules, 'sitecustomize.py'), code);
    await writeFile(
      join(this.#directory, 'skewed.conf'),
      proxyConf(this.#directory, this.#ports, { address: '127.0.0.1', port: this.#ports.skewed }),
    );
    launch(this.#undo, 'swift-proxy-server', [join(this.#directory, 'skewed.conf')], { PYTHONPATH: modules });
    const origin = `http://127.0.0.1:${this.#ports.skewed}`;
    await until('the skewed door answers', async () => (await fetch(origin)).status > 0);
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    await this.#undo.disposeAsync();
  }
}

function clientOf(origin: string): S3Client {
  return new S3Client({
    endpoint: origin,
    region: swiftRegion,
    forcePathStyle: true,
    credentials: swiftKeys,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
}

/** Five Python programs, on a busy machine. */
const startLimitMs = 100_000;

async function untilItTakesBuckets(origin: string): Promise<void> {
  const client = clientOf(origin);
  const takesOne = async (): Promise<boolean> => {
    await client.send(new CreateBucketCommand({ Bucket: 'images' }));
    return true;
  };
  await until('Swift takes a bucket', takesOne, startLimitMs);
  client.destroy();
}

/** It ends with `undo`, or when we are killed. */
function launch(undo: AsyncDisposableStack, program: string, words: string[], environment = {}): void {
  const env = { PATH: searchPath, PYTHONDONTWRITEBYTECODE: '1', ...environment };
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...words], { env, stdio: 'ignore' });
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('error', () => resolve());
  child.once('close', () => resolve());
  undo.defer(() => ended(child, promise));
}

async function ended(child: ChildProcess, closed: Promise<void>): Promise<void> {
  child.kill('SIGKILL');
  await closed;
}

async function configure(directory: string, ports: Ports, address: string): Promise<void> {
  await mkdir(join(directory, 'disks', 'd1'), { recursive: true });
  await writeFile(join(directory, 'swift.conf'), hashConf);
  await writeFile(join(directory, 'proxy.conf'), proxyConf(directory, ports, { address, port: ports.proxy }));
  for (const ring of rings) {
    await writeFile(join(directory, `${ring}.conf`), storageConf(directory, ring, ports[ring]));
    const build = (...words: string[]) =>
      run('swift-ring-builder', [`${ring}.builder`, ...words], { cwd: directory, env: { PATH: searchPath } });
    await build('create', '4', '1', '0');
    await build('add', `r1z1-127.0.0.1:${ports[ring]}/d1`, '1');
    await build('rebalance');
  }
}

const hashConf = `[swift-hash]
swift_hash_path_suffix = test
swift_hash_path_prefix = test
[storage-policy:0]
name = one
default = yes
`;

function commonConf(directory: string, { address = '127.0.0.1', port }: { address?: string; port: number }): string {
  return `[DEFAULT]
bind_ip = ${address}
bind_port = ${port}
swift_dir = ${directory}
devices = ${join(directory, 'disks')}
mount_check = false
user = ${userInfo().username}
workers = 0
log_level = ERROR
`;
}

function storageConf(directory: string, ring: (typeof rings)[number], port: number): string {
  return `${commonConf(directory, { port })}[pipeline:main]
pipeline = ${ring}-server
[app:${ring}-server]
use = egg:swift#${ring}
[${ring}-replicator]
[${ring}-updater]
[${ring}-auditor]
`;
}

function proxyConf(directory: string, ports: Ports, door: { address: string; port: number }): string {
  return `${commonConf(directory, door)}[pipeline:main]
pipeline = catch_errors cache listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${ports.memcached}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = ${swiftRegion}
storage_domain = ${swiftDomain}
min_segment_size = 1
[filter:tempauth]
use = egg:swift#tempauth
user_probe_admin = ${swiftKeys.secretAccessKey} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
`;
}

async function freePorts(): Promise<Ports> {
  const names = ['memcached', 'proxy', 'skewed', 'account', 'container', 'object'] as const;
  const held = await Promise.all(
    names.map(async () => {
      const server = createServer();
      const { promise, resolve } = Promise.withResolvers<void>();
      server.listen(0, '127.0.0.1', () => resolve());
      await promise;
      return server;
    }),
  );
  const ports = held.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(held.map((server) => server[Symbol.asyncDispose]()));
  const [memcached = 0, proxy = 0, skewed = 0, account = 0, container = 0, object = 0] = ports;
  return { memcached, proxy, skewed, account, container, object };
}
