// `node test/cluster/cluster.ts COMMAND`: a cluster of one node to try things on, which stays up until it is taken down. Tests that need a node
// bring up one of their own.
import { readFile } from 'node:fs/promises';
import { delimiter, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Fault, toFault } from '../../domain/fault.ts';
import { bringUp, findNode, type SingleNode, takeDown } from './single-node.ts';

const usage = `Usage, as root: node test/cluster/cluster.ts COMMAND [--name NAME]

  up                        bring it up, or find it where it is up
  env                       shell lines that put its KUBECONFIG and its programs (kubectl, helm, csi-sanity) in place
  status                    where it is, and what runs in it
  load ARCHIVE REFERENCE    put the image of an OCI archive on the node, under the reference that pods name it by
  down                      end it and remove all that it kept

There may be several, each with a name; without --name it is "kept".`;

const commands: Readonly<Record<string, (name: string, ...args: string[]) => Promise<string>>> = {
  up,
  env,
  status,
  load,
  down,
};

async function up(name: string): Promise<string> {
  const started = performance.now();
  const node = await bringUp(name, { say: (line) => process.stderr.write(`cluster: ${line}\n`) });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  process.stderr.write(`cluster: up after ${seconds} s; pods reach this host at ${node.hostAddress}\n`);
  return `KUBECONFIG=${node.kubeconfig}`;
}

async function env(name: string): Promise<string> {
  const { kubeconfig, programs } = await running(name);
  const path = [programs.kubernetes, programs.companions].join(delimiter);
  return `export KUBECONFIG=${quoted(kubeconfig)}\nexport PATH=${quoted(path)}"\${PATH:+${delimiter}$PATH}"`;
}

async function status(name: string): Promise<string> {
  const node = await running(name);
  const lines = [
    `node ${node.nodeAddress}, this host as its pods see it ${node.hostAddress}, files in ${node.directory}`,
  ];
  for (const component of (await node.table.names()).sort()) {
    lines.push(`${component.padEnd(20)}${await describe(node, component)}`);
  }
  return lines.join('\n');
}

async function describe(node: SingleNode, component: string): Promise<string> {
  const identity = await node.table.identity(component);
  if (identity === undefined) return `ended, see ${node.table.logOf(component)}`;
  const status = await readFile(`/proc/${identity.pid}/status`, 'utf8');
  const resident = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  return `pid ${identity.pid}, ${Math.round(resident / 1024)} MiB resident`;
}

async function load(name: string, archive?: string, reference?: string): Promise<string> {
  if (archive === undefined || reference === undefined)
    throw new Fault('InvalidRequest', 'load needs ARCHIVE and REFERENCE');
  await (await running(name)).loadImage(resolve(archive), reference);
  return reference;
}

async function down(name: string): Promise<string> {
  await takeDown(name);
  return 'down';
}

async function running(name: string): Promise<SingleNode> {
  const node = await findNode(name);
  if (node === undefined)
    throw new Fault('ServiceUnreachable', `no cluster ${name} is up: node test/cluster/cluster.ts up`);
  return node;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { name: { type: 'string', default: 'kept' } },
  });
  const [word = '', ...args] = positionals;
  const command = commands[word];
  if (command === undefined) throw new Fault('InvalidRequest', usage);
  process.stdout.write(`${await command(values.name, ...args)}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`cluster: ${toFault(error).detail}\n`);
  process.exitCode = 1;
}
