// A machine of its own for a cluster, without a virtual one: its own process, mount, network, host and IPC name spaces, held by one first process.
// Whatever runs in it (components, containers, their mounts and interfaces) ends with that process, so taking the machine down is one kill, also
// when the run that made it was killed itself. Nothing is recorded: the first process carries the machine's directory among its arguments.
//
// What stays shared with the host: the files (but for the directories below), the kernel's settings, the cgroup hierarchies, loop devices.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { identityOf, killIfSame, type ProcessIdentity } from '../../../runtime/process-identity.ts';
import { exists, isMissing } from '../paths.ts';
import type { Place } from '../processes.ts';
import { until } from '../until.ts';

const run = promisify(execFile);

/** Directories that a node writes to wherever it keeps its state; the machine has its own in their place. */
const ownDirectories = ['/var/lib/kubelet', '/var/lib/cni', '/var/lib/longshore', '/var/log'] as const;

/** The kubelet insists on these and would set them for the whole host; in the machine they look as it wants them and nothing is set. */
const wantedByKubelet = {
  'kernel/keys/root_maxbytes': '25000000',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
} as const;

const nameSpaces = [
  ...['--mount', '--propagation', 'private'],
  ...['--pid', '--fork', '--mount-proc'],
  ...['--net', '--uts', '--ipc'],
];

export interface Machine extends Place {
  /** As the host sees it. */
  readonly firstPid: number;
  /** Runs a command in it and returns what it prints. */
  run(argv: readonly string[]): Promise<string>;
}

/** The machine of that directory, where it is up. */
export function findMachine(directory: string): Machine | undefined {
  const mark = markOf(directory);
  const firstPid = pidsWith((argv) => argv.length === 2 && argv[1] === mark)[0];
  return firstPid === undefined ? undefined : machineOf(firstPid);
}

/**
 * @param directory of the machine, absolute; its own directories are kept in it
 * @param options.holder the program that becomes the first process; it collects orphans
 * @param options.owner the process with whose end the machine ends too, unless `letStay` is called
 */
export async function createMachine(
  directory: string,
  { hostname, holder, owner }: { hostname: string; holder: string; owner: ProcessIdentity },
): Promise<Machine> {
  await mkdir(directory, { recursive: true });
  const child = spawn('unshare', [...nameSpaces, holder, markOf(directory)], { stdio: 'ignore', detached: true });
  await once(child, 'spawn');
  child.unref();
  const machine = await until('the first process of the machine', 10_000, () => findMachine(directory));
  await endWith(owner, machine.firstPid, directory);
  await machine.run(['hostname', hostname]);
  await machine.run(['sh', '-euc', await preparation(directory)]);
  return machine;
}

/** Watched from outside; the mark among its arguments makes the watcher end with the machine. */
async function endWith(owner: ProcessIdentity, firstPid: number, directory: string): Promise<void> {
  const script = 'tail --pid="$2" --follow /dev/null; kill -KILL "$3"';
  const args = ['-c', script, watcherName, markOf(directory), String(owner.pid), String(firstPid)];
  const child = spawn('sh', args, { stdio: 'ignore', detached: true });
  await once(child, 'spawn');
  child.unref();
}

/** Its owner's end no longer ends it. */
export async function letStay(directory: string): Promise<void> {
  const mark = markOf(directory);
  await killAll((argv) => argv.includes(mark) && argv.includes(watcherName));
}

/** Ends everything in it. What it did to shared things is for the caller to undo. One that is not there is no fault. */
export async function destroyMachine(directory: string): Promise<void> {
  const mark = markOf(directory);
  await killAll((argv) => argv.includes(mark));
  const isLast = pidsWith((argv) => argv.some((word) => word.startsWith(markPrefix))).length === 0;
  if (isLast) await removeMountPoints(directory);
}

async function killAll(matches: (argv: readonly string[]) => boolean): Promise<void> {
  for (const pid of pidsWith(matches)) {
    const identity = identityOf(pid);
    if (identity !== undefined) await killIfSame(identity);
  }
}

const watcherName = 'watcher';
const markPrefix = '--longshore-test-machine=';

function markOf(directory: string): string {
  return markPrefix + directory;
}

/** The host's side of the own directories, made where it had none; machines side by side share that note, and the last one down cleans up. */
function noteOfMountPoints(directory: string): string {
  return join(dirname(directory), 'mount-points');
}

async function makeMountPoint(directory: string, path: string): Promise<void> {
  if (await exists(path)) return;
  await appendFile(noteOfMountPoints(directory), `${path}\n`);
  await mkdir(path, { recursive: true });
}

async function removeMountPoints(directory: string): Promise<void> {
  const note = noteOfMountPoints(directory);
  const made = (await exists(note)) ? (await readFile(note, 'utf8')).trim().split('\n') : [];
  for (const path of made) await removeIfEmpty(path);
  await rm(note, { force: true });
}

function machineOf(firstPid: number): Machine {
  const enter = ['nsenter', '--target', String(firstPid), '--mount', '--pid', '--net', '--uts', '--ipc'] as const;
  const commandLine = (argv: readonly string[]) => [...enter, '--', ...argv] as const;
  return {
    firstPid,
    commandLine,
    // nsenter stays outside and waits; its only child is inside.
    resultingPid: (started) => childrenOf(started)[0],
    outlivesUs: true,
    run: async (argv) => {
      const [program, ...rest] = commandLine(argv);
      return (await run(program, rest, { maxBuffer: 64 * 1024 ** 2 })).stdout;
    },
  };
}

/** Shell lines for inside: own mounts, own /run, the directories, the settings as the kubelet wants them. */
async function preparation(directory: string): Promise<string> {
  const lines = ['mount --make-rshared /', 'mount -t tmpfs -o mode=755 tmpfs /run'];
  for (const path of ownDirectories) {
    const own = join(directory, 'own', path.slice(1).replaceAll('/', '-'));
    await mkdir(own, { recursive: true });
    await makeMountPoint(directory, path);
    lines.push(`mount --bind ${quoted(own)} ${path}`);
  }
  for (const [name, value] of Object.entries(wantedByKubelet)) {
    const file = join(directory, 'settings', name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `${value}\n`);
    lines.push(`[ ! -e /proc/sys/${name} ] || mount --bind ${quoted(file)} /proc/sys/${name}`);
  }
  return lines.join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    const isUsed = error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EBUSY');
    if (!isUsed && !isMissing(error)) throw error;
  }
}

function pidsWith(matches: (argv: readonly string[]) => boolean): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => matches(argvOf(pid)));
}

function argvOf(pid: number): string[] {
  return readProc(`/proc/${pid}/cmdline`).split('\0').slice(0, -1);
}

function childrenOf(pid: number): number[] {
  return readProc(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** Empty where the process is gone. */
function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && 'code' in error && error.code === 'ESRCH')) return '';
    throw error;
  }
}
