// The life of a cluster of one node as a developer sees it: up, found again, down; and what a killed run leaves.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { identityOf, isAlive, type ProcessIdentity } from '../../runtime/process-identity.ts';
import { cacheDirectory } from './build-programs.ts';
import { findMachine } from './node/machine.ts';
import { type Answer, answerOf } from './run-program.ts';
import { findNode, type SingleNode, takeDown } from './single-node.ts';
import { nameSpacesOf, tracesOf } from './traces.ts';
import { until } from './until.ts';

const name = `test-${process.pid}`;
const program = join(import.meta.dirname, 'cluster.ts');
const nothing = { processes: [], mounts: [], interfaces: [], cgroups: [], files: [] };

function command(...args: string[]): Promise<Answer> {
  return answerOf(process.execPath, [program, ...args, '--name', name]);
}

async function runningNode(): Promise<SingleNode> {
  const node = await findNode(name);
  if (node === undefined) throw new Error(`${name} is not up`);
  return node;
}

/** The process that holds all of it. */
function machineOf({ directory }: SingleNode): ProcessIdentity {
  const identity = identityOf(findMachine(directory)?.firstPid ?? 0);
  if (identity === undefined) throw new Error(`${directory} has no machine`);
  return identity;
}

/** A file of the node with a loop device over it, as volumes of pods have. */
async function attachLoopDevice(directory: string): Promise<string> {
  const script = 'truncate -s 1M /var/lib/longshore/disk && losetup --find --show /var/lib/longshore/disk';
  return (await findMachine(directory)?.run(['sh', '-euc', script]))?.trim() ?? '';
}

function isAttached(device: string): boolean {
  return existsSync(`/sys/block/${basename(device)}/loop/backing_file`);
}

/** Brings the cluster up as a run of the tests does; resolves when it is up. */
async function startRun(): Promise<ChildProcess> {
  const modules = { bringUp: './single-node.ts', identityOf: '../../runtime/process-identity.ts' };
  const imports = Object.entries(modules).map(
    ([what, from]) => `import { ${what} } from '${join(import.meta.dirname, from)}';`,
  );
  const script = `${imports.join('\n')}
    await bringUp('${name}', { say: () => undefined, owner: identityOf(process.pid) });
    console.log('up');
    setInterval(() => undefined, 1_000);`;
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio });
  const said = await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')]);
  expect(String(said[0])).toBe('up\n');
  return child;
}

afterAll(() => takeDown(name));

describe('a cluster of one node', () => {
  test('ends with the run that it belongs to, and the next one removes what is left; a second up finds the one that is up', async () => {
    const run = await startRun();
    const left = await runningNode();
    const [machine, device] = [machineOf(left), await attachLoopDevice(left.directory)];
    run.kill('SIGKILL');
    await until('the machine to end', 30_000, () => !isAlive(machine));
    expect([isAttached(device), existsSync(left.kubeconfig)]).toEqual([true, true]);
    const first = await command('up');
    expect([first.code, first.out]).toEqual([0, `KUBECONFIG=${left.kubeconfig}\n`]);
    expect(isAttached(device)).toBe(false);
    const fresh = machineOf(left);
    expect((await command('up')).out).toBe(first.out);
    expect(machineOf(left)).toEqual(fresh);
  });

  test('tells what runs in it, and what a shell needs to use it', async () => {
    const { kubeconfig, nodeAddress } = await runningNode();
    const { out } = await command('status');
    for (const component of ['apiserver', 'containerd', 'etcd', 'kubelet', 'proxy', 'scheduler']) {
      expect(out).toMatch(new RegExp(`^${component} +pid \\d+, \\d+ MiB resident$`, 'm'));
    }
    expect(out).toContain(nodeAddress);
    const shell = `${(await command('env')).out}\necho "$KUBECONFIG"; kubectl get nodes -o name; helm version --short`;
    expect((await answerOf('sh', ['-euc', shell])).out).toMatch(
      new RegExp(`^${kubeconfig}\nnode/longshore-node\nv3\\.`),
    );
  });

  test('leaves nothing when it is down', async () => {
    const { directory } = await runningNode();
    const [spaces, device] = [nameSpacesOf(directory), await attachLoopDevice(directory)];
    const before = Object.entries(tracesOf(directory, spaces)).map(([what, found]) => [what, found.length > 0]);
    expect(Object.fromEntries(before)).toEqual({
      processes: true,
      mounts: true,
      interfaces: true,
      cgroups: true,
      files: true,
    });
    expect(isAttached(device)).toBe(true);
    expect(await command('down')).toMatchObject({ code: 0, err: '' });
    expect(tracesOf(directory, spaces)).toEqual(nothing);
    expect(isAttached(device)).toBe(false);
    expect((await command('status')).err).toBe(`cluster: no cluster ${name} is up: node test/cluster/cluster.ts up\n`);
  });
});

describe('a cluster that does not come up', () => {
  test('says which part and what its last words were, and leaves nothing but its files', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'longshore-broken-'));
    writeFileSync(join(directory, 'containerd'), '#!/bin/sh\necho no runtime today; exit 1\n', { mode: 0o755 });
    const path = `PATH=${directory}${delimiter}${process.env['PATH']}`;
    const { code, err } = await answerOf('env', [path, process.execPath, program, 'up', '--name', name]);
    rmSync(directory, { recursive: true });
    const files = join(cacheDirectory(), 'clusters', name);
    expect([code, err]).toEqual([1, expect.stringMatching(/^cluster: containerd ended; .*: no runtime today$/m)]);
    expect(tracesOf(files, [])).toEqual({ ...nothing, files: expect.arrayContaining(['logs']) });
  });
});

describe('a machine that cannot have one is told in one line', () => {
  test('that it takes root', async () => {
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, program, 'up'];
    const { code, err } = await answerOf('setpriv', asNobody);
    expect([code, err]).toEqual([
      1,
      'cluster: the test cluster makes name spaces, mounts and cgroups: run it as root\n',
    ]);
  });

  test('that it takes programs of Debian', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'longshore-no-programs-'));
    const { code, err } = await answerOf('env', [`PATH=${empty}`, process.execPath, program, 'up']);
    rmSync(empty, { recursive: true });
    expect(code).toBe(1);
    expect(err).toMatch(
      /^cluster: the node needs .*containerd, .*runc.*: sh scripts\/setup\.sh --cluster installs it\n$/,
    );
  });

  test('that it takes Go', async () => {
    const cache = mkdtempSync(join(tmpdir(), 'longshore-no-go-'));
    const isGo = (directory: string) => existsSync(join(directory, 'go'));
    const path = (process.env['PATH'] ?? '').split(delimiter).filter((directory) => !isGo(directory));
    const variables = [`PATH=${path.join(delimiter)}`, `XDG_CACHE_HOME=${cache}`];
    const { code, err } = await answerOf('env', [...variables, process.execPath, program, 'up']);
    rmSync(cache, { recursive: true });
    expect(code).toBe(1);
    expect(err).toMatch(/^cluster: Go 1\.25 or newer is needed on PATH to compile the test cluster.*\n$/);
  });
});
