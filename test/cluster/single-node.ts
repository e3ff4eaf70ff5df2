// A whole Kubernetes of one node, by itself: a machine of its own (node/machine.ts) with the control plane, containerd, kubelet, kube-proxy and
// CoreDNS in it, known by a name. It outlives the process that brought it up, and whoever knows its name finds it again and takes it down. All that
// it keeps lies in one directory, and whatever else it is in (processes, cgroups, an interface, loop devices) is found from that directory alone.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Fault } from '../../domain/fault.ts';
import { identityOf, isAlive, type ProcessIdentity } from '../../runtime/process-identity.ts';
import { cacheDirectory, programsOf } from './build-programs.ts';
import { type Component as ControlPlaneComponent, type ControlPlaneSettings, startComponent } from './control-plane.ts';
import { type Credentials, makeCredentials, nodeName, readCredentials } from './credentials.ts';
import { alone } from './lock.ts';
import { installBase } from './node/base.ts';
import { cgroupOf, makeCgroups, removeCgroups } from './node/cgroups.ts';
import { importImage, launchContainerd } from './node/containerd.ts';
import { requireDebianPrograms } from './node/debian-programs.ts';
import { imageArchives } from './node/images.ts';
import { detachLoopDevices } from './node/loop-devices.ts';
import { createMachine, destroyMachine, findMachine, letStay, type Machine } from './node/machine.ts';
import { awaitDisconnection, type Cable, connectMachine } from './node/network.ts';
import { launchKubelet, launchProxy } from './node/node-components.ts';
import { isMissing } from './paths.ts';
import { ProcessTable } from './processes.ts';

export type Component = ControlPlaneComponent | 'containerd' | 'kubelet' | 'proxy';

/** Where programs lie, each a directory. */
interface Programs {
  kubernetes: string;
  companions: string;
}

export interface SingleNode extends Cable {
  name: string;
  /** Where all its files lie, the logs in logs/. */
  directory: string;
  /** Of a user who may do everything. */
  kubeconfig: string;
  programs: Programs;
  table: ProcessTable;
  /** Puts the image of an OCI archive on the node, where pods find it by that reference. */
  loadImage(archive: string, reference: string): Promise<void>;
  /** Starts a component again after `kill`; resolves when it is ready. */
  start(component: Component): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(component: Component): Promise<void>;
}

const apiserverPort = 6_443;
const lockLimitMs = 600_000;

/** kept by `writeRecord` once the node is ready: that it is there says that the cluster is whole. */
interface ClusterRecord extends Cable {
  programs: Programs;
}

/**
 * Brings the cluster of that name up, or finds it where it is up. What a killed run left is removed first.
 * @param options.owner the process with which the cluster ends, and whose leftovers the next run removes; without one it stays until it is taken down
 * @throws Fault NeedsRoot, ProgramMissing; Internal or TimedOut where a part does not come up: then nothing runs, and the files stay to look into
 */
export async function bringUp(
  name: string,
  { say, owner }: { say: (line: string) => void; owner?: ProcessIdentity },
): Promise<SingleNode> {
  requireRoot();
  await requireDebianPrograms();
  const programs = {
    kubernetes: await programsOf('kubernetes', say),
    companions: await programsOf('companions', say),
  };
  return locked(async () => {
    await removeLeftovers();
    const directory = directoryOf(name);
    const found = await findNode(name);
    if (found !== undefined) return found;
    await clear(directory);
    await mkdir(directory, { recursive: true });
    const creator = owner ?? ownIdentity();
    await writeFile(ownerRecord(directory), JSON.stringify(creator));
    try {
      const node = await create(name, { programs, owner: creator, say });
      if (owner === undefined) await keep(directory);
      return node;
    } catch (error) {
      await end(directory);
      throw error;
    }
  });
}

/** Ends the cluster of that name and removes what it kept; one that is not there is no fault. */
export async function takeDown(name: string): Promise<void> {
  requireRoot();
  await locked(() => clear(directoryOf(name)));
}

/** The cluster of that name, where it is up and whole. */
export async function findNode(name: string): Promise<SingleNode | undefined> {
  const directory = directoryOf(name);
  const record = await readRecord<ClusterRecord>(join(directory, 'cluster.json'));
  const machine = findMachine(directory);
  if (record === undefined || machine === undefined) return undefined;
  const credentials = await readCredentials(join(directory, 'pki'), serverAt(record));
  return nodeOf(name, machine, record, credentials);
}

/** The cluster of ours that the kubeconfig belongs to, where it is up; undefined for any other cluster. */
export async function findNodeOf(kubeconfig: string): Promise<SingleNode | undefined> {
  const directory = dirname(dirname(resolve(kubeconfig)));
  return dirname(directory) === clustersDirectory() ? findNode(basename(directory)) : undefined;
}

function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new Fault('NeedsRoot', 'the test cluster makes name spaces, mounts and cgroups: run it as root');
}

function clustersDirectory(): string {
  return join(cacheDirectory(), 'clusters');
}

function directoryOf(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,19}$/.test(name)) throw new Fault('InvalidRequest', `${name} is no name for a cluster`);
  return join(clustersDirectory(), name);
}

async function locked<Result>(action: () => Promise<Result>): Promise<Result> {
  await mkdir(clustersDirectory(), { recursive: true });
  return alone(join(clustersDirectory(), 'lock'), lockLimitMs, action);
}

function ownIdentity(): ProcessIdentity {
  const identity = identityOf(process.pid);
  if (identity === undefined) throw new Fault('Internal', 'this process is not to be found in /proc');
  return identity;
}

/** Until it is up, also a cluster that is to stay belongs to whoever brings it up: an interrupted command leaves nothing running. */
async function keep(directory: string): Promise<void> {
  await letStay(directory);
  await rm(ownerRecord(directory));
}

function ownerRecord(directory: string): string {
  return join(directory, 'owner.json');
}

/** Clusters whose owner is gone without having taken them down. */
async function removeLeftovers(): Promise<void> {
  const entries = await readdir(clustersDirectory(), { withFileTypes: true });
  for (const entry of entries.filter((one) => one.isDirectory())) {
    const directory = join(clustersDirectory(), entry.name);
    const owner = await readRecord<ProcessIdentity>(ownerRecord(directory));
    if (owner !== undefined && !isAlive(owner)) await clear(directory);
  }
}

async function clear(directory: string): Promise<void> {
  await end(directory);
  await rm(directory, { recursive: true, force: true });
}

async function end(directory: string): Promise<void> {
  await destroyMachine(directory);
  await detachLoopDevices(directory);
  await removeCgroups(directory);
  await awaitDisconnection(cgroupOf(directory));
}

async function create(
  name: string,
  { programs, owner, say }: { programs: Programs; owner: ProcessIdentity; say: (line: string) => void },
): Promise<SingleNode> {
  const directory = directoryOf(name);
  const images = await imageArchives(programs.companions);
  const holder = join(programs.companions, 'pause');
  const machine = await createMachine(directory, { hostname: nodeName, holder, owner });
  const cable = await connectMachine(machine, cgroupOf(directory));
  await makeCgroups(directory);
  const address = { serverAddress: cable.nodeAddress, port: apiserverPort };
  const credentials = await makeCredentials(join(directory, 'pki'), address);
  const record = { ...cable, programs };
  const node = nodeOf(name, machine, record, credentials);
  say('starting the control plane and containerd');
  await both(startControl(node), startRuntime(node, images));
  say('starting the node');
  await node.start('kubelet');
  await node.start('proxy');
  await installBase(programs.kubernetes, node.kubeconfig);
  await writeFile(join(directory, 'cluster.json'), JSON.stringify(record));
  return node;
}

async function startControl(node: SingleNode): Promise<void> {
  await node.start('etcd');
  await node.start('apiserver');
  await node.start('controller-manager');
  await node.start('scheduler');
}

async function startRuntime(node: SingleNode, images: Awaited<ReturnType<typeof imageArchives>>): Promise<void> {
  await node.start('containerd');
  for (const { archive, reference } of images) await node.loadImage(archive, reference);
}

/** Where one fails it still waits for the other, which would else go on in what is being taken down. */
async function both(...parts: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(parts)) if (result.status === 'rejected') throw result.reason;
}

function serverAt({ nodeAddress }: Cable): string {
  return `https://${nodeAddress}:${apiserverPort}`;
}

function nodeOf(name: string, machine: Machine, record: ClusterRecord, credentials: Credentials): SingleNode {
  const directory = directoryOf(name);
  const { programs, hostAddress, nodeAddress } = record;
  const table = new ProcessTable(directory, machine);
  const settings = { directory, programs: programs.kubernetes, credentials, address: nodeAddress };
  const controlPlane: ControlPlaneSettings = {
    ...settings,
    port: apiserverPort,
    audit: true,
    socketDirectory: directory,
  };
  const start = async (component: Component): Promise<void> => {
    if (component === 'containerd') await table.start(component, await launchContainerd(machine, directory));
    else if (component === 'kubelet') await table.start(component, await launchKubelet(settings));
    else if (component === 'proxy') await table.start(component, await launchProxy(settings));
    else await startComponent(table, component, controlPlane);
  };
  return {
    name,
    directory,
    hostAddress,
    nodeAddress,
    kubeconfig: credentials.kubeconfigOf('admin'),
    programs,
    table,
    loadImage: (archive, reference) => importImage(machine, archive, reference),
    start,
    kill: (component) => table.stop(component, 'SIGKILL'),
  };
}

/** Undefined where it was never written. */
async function readRecord<Content>(path: string): Promise<Content | undefined> {
  try {
    // Safe: written by this file, whole, and removed with the directory that it lies in.
    return JSON.parse(await readFile(path, 'utf8')) as Content;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
