// A whole service in a temporary directory, for tests that cross folders: real processes, real Redis, free ports. Runs the .ts files, or with
// LONGSHORE_TEST_COMPILED=yes what `npm run build` made. stop() leaves no process and no file.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { identityOf } from '../runtime/process-identity.ts';
import { callHttps, type HttpsAnswer, type HttpsCall } from './https-call.ts';
import { leaveNoDevice } from './leave-no-device.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** DIR/up.json, as far as tests read it. */
export interface UpState {
  pid?: number;
  api: string;
  uploadProxy: string;
  pool: string;
  processes: Record<string, { pid: number; addresses: Record<string, string> }>;
}

export interface ServiceOptions {
  /** Data directory to use again; by default a new one that stop() removes. */
  directory?: string;
  environment?: Readonly<Record<string, string>>;
  /** Further words after `up --data DIR --listen 127.0.0.1:0`. */
  words?: readonly string[];
  /** Who runs it, where the tests are root. Default: whoever runs the tests. */
  identity?: { uid: number; gid: number };
}

export interface ApiAnswer<T> {
  status: number;
  body: T;
}

export interface ServiceEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class Service {
  readonly directory: string;
  readonly kubeconfig: string;
  /** What `up` wrote to stdout and stderr. */
  output = '';
  readonly ended: Promise<ServiceEnd>;
  readonly #process: ChildProcess;
  readonly #ownsDirectory: boolean;

  private constructor(directory: string, ownsDirectory: boolean, child: ChildProcess) {
    this.directory = directory;
    this.kubeconfig = join(directory, 'kubeconfig');
    this.#ownsDirectory = ownsDirectory;
    this.#process = child;
    const { promise, resolve } = Promise.withResolvers<ServiceEnd>();
    this.ended = promise;
    child.once('close', (code, signal) => resolve({ code, signal }));
    const keep = (chunk: Buffer): void => {
      this.output += chunk.toString('utf8');
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  /** Starts `longshore up` and does not wait for it. */
  static async spawn(options: ServiceOptions = {}): Promise<Service> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'ls-')));
    const compiled = process.env['LONGSHORE_TEST_COMPILED'] === 'yes';
    const program = compiled ? join(root, 'dist/main/up.js') : join(root, 'main/up.ts');
    const words = ['up', '--data', directory, '--listen', '127.0.0.1:0', ...(options.words ?? [])].slice(1);
    const { identity } = options;
    const as = identity === undefined ? [] : [`--reuid=${identity.uid}`, `--regid=${identity.gid}`, '--clear-groups'];
    // A test that is killed takes its service with it.
    const child = spawn('setpriv', [...as, '--pdeathsig', 'KILL', '--', process.execPath, program, ...words], {
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Service(directory, options.directory === undefined, child);
  }

  /** Resolves when the service serves and its worker is connected. */
  static async start(options: ServiceOptions = {}): Promise<Service> {
    const service = await Service.#begun(options);
    // A port that was free when it was chosen may be another test's when it is taken.
    return service ?? (await Service.#begun(options)) ?? Promise.reject(new Error('two ports were taken'));
  }

  /** @returns undefined where somebody else took its port */
  static async #begun(options: ServiceOptions): Promise<Service | undefined> {
    const service = await Service.spawn(options);
    const failed = service.ended.then(({ code }) => {
      throw new Error(`the service ended with ${code}: ${service.output}${service.logs()}`);
    });
    failed.catch(() => undefined); // matters only while starting
    try {
      await Promise.race([service.#untilReady(), failed]);
    } catch (error) {
      const { output } = service;
      await service.stop();
      if (options.words === undefined && output.includes('AddressInUse')) return undefined;
      throw error;
    }
    return service;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get state(): UpState {
    // Safe: our own file, written in one step.
    return JSON.parse(readFileSync(join(this.directory, 'up.json'), 'utf8')) as UpState;
  }

  get ca(): string {
    return readFileSync(join(this.directory, 'ca.crt'), 'utf8');
  }

  get adminToken(): string {
    return /token: "(.+)"/.exec(readFileSync(this.kubeconfig, 'utf8'))?.[1] ?? '';
  }

  /** Calls the API as the administrator. The caller knows what a path answers with. */
  async call<T = unknown>(method: string, path: string, body?: unknown): Promise<ApiAnswer<T>> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = { authorization: `Bearer ${this.adminToken}`, 'content-type': type };
    const answer = await this.send(method, new URL(path, this.state.api), { headers, body: text });
    return { status: answer.status, body: (answer.text === '' ? undefined : JSON.parse(answer.text)) as T };
  }

  /** One HTTPS request that trusts the service's CA. */
  send(method: string, url: URL, options: Omit<HttpsCall, 'ca'> = {}): Promise<HttpsAnswer> {
    return callHttps(method, url, { ...options, ca: this.ca });
  }

  /** Answer of one of the paths on a process's metrics port: livez, readyz, metrics. */
  async probe(name: string, path: 'livez' | 'readyz' | 'metrics'): Promise<{ status: number; text: string }> {
    const address = this.state.processes[name]?.addresses['metrics'];
    const answer = await fetch(`http://${address}/${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  /** Last lines of all logs, for the message of a test that failed. */
  logs(): string {
    return ['up', 'api', 'uploadproxy', 'worker']
      .map((name) => join(this.directory, 'log', `${name}.log`))
      .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
      .map((path) => `\n--- ${path}\n${readFileSync(path, 'utf8').split('\n').slice(-12).join('\n')}`)
      .join('');
  }

  /** Sends a signal to `up` and waits for its end and that of all it started. */
  async end(signal: NodeJS.Signals): Promise<ServiceEnd> {
    const pids = existsSync(join(this.directory, 'up.json')) ? this.#childPids() : [];
    this.#process.kill(signal);
    const end = await this.ended;
    await until('all processes are gone', () => pids.every((pid) => identityOf(pid) === undefined));
    return end;
  }

  async stop(): Promise<ServiceEnd> {
    const end = await this.end('SIGTERM');
    if (!this.#ownsDirectory) return end;
    await leaveNoDevice(this.directory);
    await rm(this.directory, { recursive: true, force: true });
    return end;
  }

  #childPids(): number[] {
    return Object.values(this.state.processes).map(({ pid }) => pid);
  }

  async #untilReady(): Promise<void> {
    await until('the service serves', () => this.output.includes('Longshore serves.'), 60_000);
    await until('the worker is ready', async () => (await this.probe('worker', 'readyz')).status === 200, 60_000);
  }
}

/** Waits for a condition; fails with its name. One that throws is not fulfilled yet. */
export async function until(
  what: string,
  isFulfilled: () => boolean | Promise<boolean>,
  limitMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      if (await isFulfilled()) return;
    } catch (error) {
      last = error;
    }
    await delay(50);
  }
  throw new Error(`not within ${limitMs} ms: ${what}`, { cause: last });
}
