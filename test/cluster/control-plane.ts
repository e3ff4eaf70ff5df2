// etcd, kube-apiserver, kube-controller-manager and kube-scheduler: what each is started with, and when it counts as ready.
// The first two alone are a real API without a node, for tests of what only speaks to the API; they need neither root nor a machine.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { serviceRange } from './addresses.ts';
import { answers } from './answers.ts';
import { programsOf } from './build-programs.ts';
import { type Credentials, frontProxyName, makeCredentials } from './credentials.ts';
import { besideUs, type Launch, ProcessTable } from './processes.ts';

export type Component = 'etcd' | 'apiserver' | 'controller-manager' | 'scheduler';

export interface ControlPlaneSettings {
  /** Where it keeps its state. */
  directory: string;
  /** Where the programs lie. */
  programs: string;
  credentials: Credentials;
  address: string;
  port: number;
  /** Writes one line a request to logs/audit.jsonl. */
  audit: boolean;
  /** Where kube-apiserver keeps its own sockets: a path of at most 107 characters. */
  socketDirectory: string;
}

export interface ControlPlane {
  /** Of a user who may do everything. */
  kubeconfig: string;
  /** https URL */
  server: string;
  /** PEM */
  ca: string;
  token: string;
  /** Where kube-apiserver writes one JSON line a request; there only when asked for. */
  auditLog: string;
  /** Starts a component again after `kill`; resolves when it is ready. */
  start(component: Component): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(component: Component): Promise<void>;
  /** Ends all and removes their state. */
  stop(): Promise<void>;
}

/**
 * A kube-apiserver over an etcd of its own on free ports of the loopback, with new state. They end with this process at the latest.
 * @param options.components those to run, in any order; `apiserver` needs `etcd`, the others need `apiserver`
 * @param options.audit whether requests are recorded
 */
export async function startControlPlane(options: {
  components: readonly Component[];
  audit?: boolean;
  say?: (line: string) => void;
}): Promise<ControlPlane> {
  const programs = await programsOf('kubernetes', options.say ?? (() => undefined));
  const directory = await mkdtemp(join(tmpdir(), 'longshore-control-plane-'));
  const [address, port] = [loopback, await freePort()];
  const credentials = await makeCredentials(join(directory, 'pki'), { serverAddress: address, port });
  const settings = {
    directory,
    programs,
    credentials,
    address,
    port,
    audit: options.audit === true,
    socketDirectory: directory,
  };
  const table = new ProcessTable(directory, besideUs);
  const stop = async () => {
    for (const name of await table.names()) await table.stop(name, 'SIGKILL');
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const component of startOrder.filter((name) => options.components.includes(name))) {
      await startComponent(table, component, settings);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    kubeconfig: credentials.kubeconfigOf('admin'),
    server: credentials.server,
    ca: credentials.ca,
    token: credentials.adminToken,
    auditLog: auditLogOf(directory),
    start: (component) => startComponent(table, component, settings),
    kill: (component) => table.stop(component, 'SIGKILL'),
    stop,
  };
}

const startOrder: readonly Component[] = ['etcd', 'apiserver', 'controller-manager', 'scheduler'];

/** Starts one component, unless it runs; resolves when it is ready. */
export async function startComponent(
  table: ProcessTable,
  component: Component,
  settings: ControlPlaneSettings,
): Promise<void> {
  await table.start(component, await components[component](settings));
}

function auditLogOf(directory: string): string {
  return join(directory, 'logs', 'audit.jsonl');
}

const components: Record<Component, (settings: ControlPlaneSettings) => Launch | Promise<Launch>> = {
  etcd: launchEtcd,
  apiserver: launchApiserver,
  'controller-manager': launchControllerManager,
  scheduler: launchScheduler,
};

/** On sockets, so it takes no port; without fsync, since what a machine's crash would lose is nobody's. It has no peers, but must name itself. */
function launchEtcd({ programs, directory, socketDirectory }: ControlPlaneSettings): Launch {
  const clients = `unix://${etcdSocket(socketDirectory)}`;
  const [peers, nobody] = [`unix://${join(socketDirectory, 'peer.sock')}`, 'http://localhost:2380'];
  const argv = [
    join(programs, 'etcd'),
    ...['--name=etcd', '--unsafe-no-fsync', '--log-level=warn', `--data-dir=${join(directory, 'etcd')}`],
    ...[`--listen-client-urls=${clients}`, `--advertise-client-urls=${nobody}`],
    ...[`--listen-peer-urls=${peers}`, `--initial-advertise-peer-urls=${nobody}`, `--initial-cluster=etcd=${nobody}`],
  ];
  return { argv, isReady: () => answers({ socketPath: etcdSocket(socketDirectory), path: '/health' }) };
}

function etcdSocket(socketDirectory: string): string {
  return join(socketDirectory, 'etcd.sock');
}

async function launchApiserver(settings: ControlPlaneSettings): Promise<Launch> {
  const { programs, directory, credentials, address, port } = settings;
  const pki = (name: string) => join(credentials.directory, name);
  const argv = [
    join(programs, 'kube-apiserver'),
    ...[`--bind-address=${address}`, `--advertise-address=${address}`, `--secure-port=${port}`],
    `--etcd-servers=unix://${etcdSocket(settings.socketDirectory)}`,
    ...[`--service-cluster-ip-range=${serviceRange}`, '--allow-privileged=true'],
    ...[`--tls-cert-file=${pki('apiserver.crt')}`, `--tls-private-key-file=${pki('apiserver.key')}`],
    ...[`--client-ca-file=${pki('ca.crt')}`, `--token-auth-file=${pki('tokens.csv')}`],
    ...['--authorization-mode=Node,RBAC', '--enable-admission-plugins=NodeRestriction'],
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki('service-account.pub')}`,
    `--service-account-signing-key-file=${pki('service-account.key')}`,
    ...kubeletClientFlags(pki),
    ...aggregationFlags(pki),
    ...(settings.audit ? await auditFlags(directory) : []),
  ];
  return { argv, isReady: () => answers({ host: address, port, ca: credentials.ca, path: '/readyz' }) };
}

function kubeletClientFlags(pki: (name: string) => string): string[] {
  return [
    `--kubelet-certificate-authority=${pki('ca.crt')}`,
    `--kubelet-client-certificate=${pki('kubelet-client.crt')}`,
    `--kubelet-client-key=${pki('kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

/** How an aggregated API knows that kube-apiserver vouches for the user it names. */
function aggregationFlags(pki: (name: string) => string): string[] {
  return [
    `--requestheader-client-ca-file=${pki('front-proxy/ca.crt')}`,
    `--requestheader-allowed-names=${frontProxyName}`,
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pki('front-proxy/client.crt')}`,
    `--proxy-client-key-file=${pki('front-proxy/client.key')}`,
  ];
}

/** One line a request when it is done: who, what, which answer; no bodies. */
async function auditFlags(directory: string): Promise<string[]> {
  const policy = join(directory, 'audit-policy.json');
  const content = {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [{ level: 'Metadata' }],
  };
  await writeFile(policy, JSON.stringify(content));
  return [`--audit-policy-file=${policy}`, `--audit-log-path=${auditLogOf(directory)}`, '--audit-log-mode=blocking'];
}

const loopback = '127.0.0.1';
/** They have nothing to say over HTTP that a test asks for, and so take no port. */
const withoutServer = ['--secure-port=0', '--leader-elect=false'];

function launchControllerManager({ programs, credentials }: ControlPlaneSettings): Launch {
  const pki = (name: string) => join(credentials.directory, name);
  const argv = [
    join(programs, 'kube-controller-manager'),
    ...[`--kubeconfig=${credentials.kubeconfigOf('controller-manager')}`, ...withoutServer],
    ...[`--client-ca-file=${pki('ca.crt')}`, `--root-ca-file=${pki('ca.crt')}`],
    ...[`--cluster-signing-cert-file=${pki('ca.crt')}`, `--cluster-signing-key-file=${pki('ca.key')}`],
    `--service-account-private-key-file=${pki('service-account.key')}`,
    '--use-service-account-credentials=true',
  ];
  return { argv, isReady: async () => true };
}

function launchScheduler({ programs, credentials }: ControlPlaneSettings): Launch {
  const argv = [
    join(programs, 'kube-scheduler'),
    ...[`--kubeconfig=${credentials.kubeconfigOf('scheduler')}`, ...withoutServer],
  ];
  return { argv, isReady: async () => true };
}

/** Free now; whoever else asks the kernel for a port may get it before we listen, so it is taken right before use. */
async function freePort(): Promise<number> {
  const server = createServer();
  const { port } = await listenOn(server, { host: loopback, port: 0 });
  await closeServer(server);
  return port;
}
