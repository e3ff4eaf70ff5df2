// The processes of one cluster, each known by its name. run/NAME.json says which process that is (pid and start time), so that also a later run
// finds and ends them, and never a stranger; logs/NAME.log holds what it said.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { Fault } from '../../domain/fault.ts';
import { identityOf, isAlive, killIfSame, ProcessIdentity } from '../../runtime/process-identity.ts';
import { exists, isMissing } from './paths.ts';
import { until } from './until.ts';

/** Where processes run. */
export interface Place {
  /** The command line that runs `argv` there. */
  commandLine(argv: readonly string[]): readonly [string, ...string[]];
  /** The process that `argv` became, where `started` is the one that was spawned; undefined while it is not there yet. */
  resultingPid(started: number): number | undefined;
  /** They go on when this process ends. */
  outlivesUs: boolean;
}

/** As children of this process, which end when it ends, however that happens. */
export const besideUs: Place = {
  commandLine: (argv) => ['setpriv', '--pdeathsig', 'KILL', ...argv],
  resultingPid: (started) => started,
  outlivesUs: false,
};

/** How a process is started, and how one sees that it does its work. */
export interface Launch {
  argv: readonly string[];
  isReady: () => Promise<boolean>;
}

const politeMs = 10_000;
const readyLimitMs = 120_000;

export class ProcessTable {
  readonly #directory: string;
  readonly #place: Place;

  constructor(directory: string, place: Place) {
    this.#directory = directory;
    this.#place = place;
  }

  logOf(name: string): string {
    return join(this.#directory, 'logs', `${name}.log`);
  }

  /**
   * Starts it, unless it runs already; resolves when `isReady`.
   * @throws Fault Internal with the end of its log where it ends before that, TimedOut
   */
  async start(name: string, { argv, isReady }: Launch): Promise<void> {
    if ((await this.identity(name)) === undefined) await this.#launch(name, argv);
    await until(`${name} being ready, see ${this.logOf(name)}`, readyLimitMs, async () => {
      if ((await this.identity(name)) === undefined) throw await this.#ended(name);
      return isReady();
    });
  }

  async #launch(name: string, argv: readonly string[]): Promise<void> {
    await mkdir(join(this.#directory, 'run'), { recursive: true });
    await mkdir(join(this.#directory, 'logs'), { recursive: true });
    const log = await open(this.logOf(name), 'a');
    const [program, ...rest] = this.#place.commandLine(argv);
    const child = spawn(program, rest, { stdio: ['ignore', log.fd, log.fd], detached: this.#place.outlivesUs });
    child.unref();
    await once(child, 'spawn');
    await log.close();
    const identity = await until(`the process ${name}`, readyLimitMs, async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw await this.#ended(name);
      const pid = child.pid === undefined ? undefined : this.#place.resultingPid(child.pid);
      return pid === undefined ? undefined : identityOf(pid);
    });
    await writeFile(this.#record(name), JSON.stringify(identity));
  }

  async #ended(name: string): Promise<Fault> {
    const log = await readFile(this.logOf(name), 'utf8');
    return new Fault('Internal', `${name} ended; its last words in ${this.logOf(name)}: ${log.trim().slice(-1_000)}`);
  }

  /** The living process of that name. */
  async identity(name: string): Promise<ProcessIdentity | undefined> {
    const identity = await readIdentity(this.#record(name));
    return identity !== undefined && isAlive(identity) ? identity : undefined;
  }

  /** Names of those that were started and not stopped, in no order. */
  async names(): Promise<string[]> {
    const directory = join(this.#directory, 'run');
    const records = (await exists(directory)) ? await readdir(directory) : [];
    return records.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  }

  /** Asks politely unless told to kill, then kills; resolves when it is gone. One that does not run is no fault. */
  async stop(name: string, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const identity = await this.identity(name);
    if (identity !== undefined && signal === 'SIGTERM') await this.#stopPolitely(identity);
    if (identity !== undefined) {
      await killIfSame(identity);
      // Its first thread is dead before the others are, and they hold its ports until they are.
      await until(`all threads of ${name} being gone`, politeMs, async () => !(await exists(`/proc/${identity.pid}`)));
    }
    await rm(this.#record(name), { force: true });
  }

  async #stopPolitely(identity: ProcessIdentity): Promise<void> {
    process.kill(identity.pid, 'SIGTERM');
    const deadline = performance.now() + politeMs;
    await until('a process to end', politeMs + 1_000, () => !isAlive(identity) || performance.now() > deadline);
  }

  #record(name: string): string {
    return join(this.#directory, 'run', `${name}.json`);
  }
}

async function readIdentity(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const identity: unknown = JSON.parse(await readFile(path, 'utf8'));
    // Safe: checked against the schema of that very type.
    return Compile(ProcessIdentity).Check(identity) ? (identity as ProcessIdentity) : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined; // never written, or cut short: it names nobody
    throw error;
  }
}
