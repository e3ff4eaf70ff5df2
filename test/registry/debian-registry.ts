// Debian's docker-registry on a free port, as a process of its own, in a directory that goes with it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { until } from '../service-fixture.ts';

const run = promisify(execFile);

export interface RegistrySettings {
  /** Address to listen on. Default: loopback. */
  address?: string;
  /** Files with the certificate and its key. */
  tls?: { certificate: string; key: string };
  /** As the `auth` of its configuration. */
  auth?: object;
}

export class DebianRegistry {
  readonly #process: ChildProcess;
  readonly #directory: string;
  #output = '';
  /** host:port */
  host = '';

  private constructor(directory: string) {
    this.#directory = directory;
    this.#process = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', '--', 'docker-registry', 'serve', join(directory, 'yml')],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
  }

  static async start({ address = '127.0.0.1', tls, auth }: RegistrySettings = {}): Promise<DebianRegistry> {
    const directory = await mkdtemp(join(tmpdir(), 'longshore-registry-'));
    const configuration = {
      ...{ version: 0.1, log: { level: 'info' }, storage: { filesystem: { rootdirectory: join(directory, 'data') } } },
      http: { addr: `${address}:0`, ...(tls === undefined ? {} : { tls }) },
      ...(auth === undefined ? {} : { auth }),
    };
    await writeFile(join(directory, 'yml'), stringify(configuration));
    const registry = new DebianRegistry(directory);
    await until(`docker-registry listens: ${registry.#output}`, () => {
      registry.host = /listening on ([\d.]+:\d+)/.exec(registry.#output)?.[1] ?? '';
      return registry.host !== '';
    });
    return registry;
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await until(
      'docker-registry has ended',
      () => this.#process.exitCode !== null || this.#process.signalCode !== null,
    );
    await rm(this.#directory, { recursive: true });
  }

  url(reference: string): string {
    return `docker://${this.host}/${reference}`;
  }
}

/** Runs skopeo, as whoever pushes images does. */
export async function skopeo(...words: string[]): Promise<string> {
  return (await run('skopeo', words)).stdout;
}

/** An image layout with one image, `directory:image`, that holds these files under /disk; made by umoci. */
export async function makeLayout(
  directory: string,
  files: string,
  settings: { architecture?: string; environment?: string; add?: boolean } = {},
): Promise<void> {
  const { architecture = 'amd64', environment, add = false } = settings;
  const image = `${directory}:image`;
  if (!add) {
    await run('umoci', ['init', '--layout', directory]);
    await run('umoci', ['new', '--image', image]);
  }
  await run('umoci', ['insert', '--rootless', '--image', image, files, '/disk']);
  const words = environment === undefined ? [] : ['--config.env', environment];
  await run('umoci', ['config', '--image', image, '--architecture', architecture, ...words]);
}
