// Runs `longshore up` for a script in a directory of its own, on free ports, and the `longshore` command against it.
// Stopping it leaves no process behind; the directory stays for whoever wants to look.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(repository, 'bin', 'longshore');

const startLimitMs = 30_000;
const stopLimitMs = 70_000;
const pollMs = 50;

export interface Ran {
  exitCode: number;
  stdout: string;
  seconds: number;
}

export class RunningService {
  readonly directory: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(directory: string, child: ChildProcess, pid: number, environment: NodeJS.ProcessEnv) {
    this.directory = directory;
    this.pid = pid;
    this.#child = child;
    this.#environment = environment;
  }

  /** @param directory data directory, whose parent exists. Resolves when the service serves; throws with the end of its log. */
  static async start(directory: string, extra: NodeJS.ProcessEnv = {}): Promise<RunningService> {
    const ports = { LONGSHORE_API_PORT: '0', LONGSHORE_UPLOADPROXY_PORT: '0' };
    const environment = { ...process.env, LONGSHORE_DATA: directory, ...ports, ...extra };
    const logPath = `${directory}.log`;
    const log = openSync(logPath, 'w');
    const child = spawn(program, ['up', '--data', directory], { env: environment, stdio: ['ignore', log, log] });
    closeSync(log);
    const pid = child.pid;
    if (pid === undefined) throw new Error(`${program} cannot be started`);
    const service = new RunningService(directory, child, pid, environment);
    try {
      await service.#untilServing();
    } catch (error) {
      await service.stop();
      const said = (await readFile(logPath, 'utf8')).split('\n').slice(-20).join('\n');
      throw new Error(`the service did not start:\n${said}`, { cause: error });
    }
    return service;
  }

  async #untilServing(): Promise<void> {
    const deadline = performance.now() + startLimitMs;
    while (!(await this.#serves())) {
      if (this.#child.exitCode !== null) throw new Error(`it ended with ${this.#child.exitCode}`);
      if (performance.now() > deadline) throw new Error(`it was not there after ${startLimitMs / 1000} s`);
      await delay(pollMs);
    }
  }

  async #serves(): Promise<boolean> {
    try {
      await access(join(this.directory, 'up.json'));
    } catch {
      return false; // not written yet
    }
    return (await this.run(['get'])).exitCode === 0;
  }

  /** Runs a command and collects what it prints. */
  run(words: readonly string[]): Promise<Ran> {
    return runLongshore(words, this.#environment, 'ignore');
  }

  /** Runs a command whose progress the user is to see. */
  show(words: readonly string[]): Promise<Ran> {
    return runLongshore(words, this.#environment, 'inherit');
  }

  /** @returns the object that a command prints with -o json */
  async json(words: readonly string[]): Promise<unknown> {
    const ran = await this.run([...words, '-o', 'json']);
    if (ran.exitCode !== 0) throw new Error(`longshore ${words.join(' ')} ended with ${ran.exitCode}`);
    return JSON.parse(ran.stdout);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), stopLimitMs);
    await ended;
    clearTimeout(killer);
  }
}

function runLongshore(words: readonly string[], env: NodeJS.ProcessEnv, errors: 'ignore' | 'inherit'): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>();
  const started = performance.now();
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', errors] });
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.once('error', reject);
  child.once('close', (code) =>
    resolve({ exitCode: code ?? 1, stdout, seconds: (performance.now() - started) / 1000 }),
  );
  return promise;
}
