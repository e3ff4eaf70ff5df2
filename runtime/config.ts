// The only reader of the environment. Every setting is a row: its variable, its default and what it means; docs/generated/settings.md
// is made from the table. Tests pass their own environment.
import { provisionerName } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import { commaSeparated, parseNetworks } from './networks.ts';

interface Setting<T> {
  readonly variable: string;
  /** Read where the first one is not set. */
  readonly otherVariable?: string;
  readonly fallback: T;
  readonly meaning: string;
  parse(text: string): T | undefined;
}

function text(variable: string, fallback: string, meaning: string): Setting<string> {
  return { variable, fallback, meaning, parse: (value) => value };
}

/** A variable that other programs read too, in capitals or not. */
function shared(variable: string, meaning: string): Setting<string> {
  return { ...text(variable, '', meaning), otherVariable: variable.toLowerCase() };
}

function whole(variable: string, fallback: number, meaning: string, least = 0): Setting<number> {
  return {
    variable,
    fallback,
    meaning,
    parse: (value) => {
      const parsed = Number(value);
      return Number.isSafeInteger(parsed) && parsed >= least ? parsed : undefined;
    },
  };
}

function decimal(variable: string, fallback: number, meaning: string): Setting<number> {
  return {
    variable,
    fallback,
    meaning,
    parse: (value) => {
      const parsed = Number(value);
      return Number.isFinite(parsed) && parsed > 0 ? parsed : undefined;
    },
  };
}

function networks(variable: string, meaning: string): Setting<string> {
  const parse = (value: string) => (parseNetworks(commaSeparated(value)) === undefined ? undefined : value);
  return { variable, fallback: '', meaning, parse };
}

export const settings = {
  data: text(
    'LONGSHORE_DATA',
    '',
    'Data directory. Default: /var/lib/longshore for root, else longshore under XDG_DATA_HOME (~/.local/share).',
  ),
  pool: text(
    'LONGSHORE_POOL',
    '',
    'Directory of the pool, or NAME=DIRECTORY of several, with commas; NAME:loop=DIRECTORY gives each Filesystem claim a file system of its own. Default: pools/default in the data directory.',
  ),
  node: text('LONGSHORE_NODE', 'local', 'Name of the node whose pools the worker owns.'),
  listenHost: text('LONGSHORE_LISTEN', '127.0.0.1', 'Address on which api and uploadproxy listen.'),
  apiPort: whole('LONGSHORE_API_PORT', 7440, 'Port of the API (HTTPS); 0 takes a free one.'),
  uploadProxyPort: whole('LONGSHORE_UPLOADPROXY_PORT', 7441, 'Port of the upload proxy (HTTPS); 0 takes a free one.'),
  uploadPort: whole(
    'LONGSHORE_UPLOAD_PORT',
    0,
    'Port on which a worker takes uploads from the upload proxy (HTTPS); 0 takes a free one.',
  ),
  metricsPort: whole(
    'LONGSHORE_METRICS_PORT',
    0,
    'Port of metrics, /livez and /readyz of this process on loopback; 0 takes a free one.',
  ),
  // Each look wakes an idle process up: at 20 ms that alone was a third of a percent of a core for each, at 100 ms a quarter for all.
  delayResolutionMs: whole(
    'LONGSHORE_DELAY_RESOLUTION_MS',
    250,
    'How often a process looks at the delay of its event loop, which /metrics tells.',
    1,
  ),
  channelAddress: text(
    'LONGSHORE_CHANNEL',
    '',
    'host:port of the channel of the controller, for workers. Set by `longshore up`.',
  ),
  apiAddress: text('LONGSHORE_API', '', 'host:port of the API, for the upload proxy. Set by `longshore up`.'),
  redisUrl: text(
    'LONGSHORE_REDIS_URL',
    '',
    'redis://, rediss:// or unix:// URL of your Redis. Default: a private one in the data directory.',
  ),
  redisMayEvict: text(
    'LONGSHORE_REDIS_MAY_EVICT',
    'no',
    'yes: take a Redis whose policy cannot be read or is not noeviction.',
  ),
  logLevel: text('LONGSHORE_LOG_LEVEL', 'info', 'trace, debug, info, warn, error or silent.'),
  importConcurrency: whole('LONGSHORE_IMPORT_CONCURRENCY', 4, 'Jobs that a worker runs at once.', 1),
  sharedImageSeconds: whole(
    'LONGSHORE_SHARED_IMAGE_S',
    60,
    'How long a worker keeps an image that it imported for others that ask for the same, after the last one took it. 0: only while they wait for it.',
  ),
  checkpointMiB: whole(
    'LONGSHORE_CHECKPOINT_MIB',
    64,
    'Bytes of an import that are worth a mark from which the next worker goes on if this one is killed: one at most every two seconds, or after sixteen times as many.',
    1,
  ),
  sourceAllow: networks(
    'LONGSHORE_SOURCE_ALLOW',
    'Networks, with commas, that a source may lie in although they are refused by default: loopback, link-local, multicast, metadata services. `longshore up` allows loopback (127.0.0.0/8,::1) where this is not set.',
  ),
  sourceRefuse: networks(
    'LONGSHORE_SOURCE_REFUSE',
    'Further networks, with commas, that no source may lie in, such as those of machines that users are not to reach through the service.',
  ),
  ociArchives: text(
    'LONGSHORE_OCI_ARCHIVES',
    '',
    'Directory on the machine of the worker whose files a source `oci-archive:` may name. Unset: none may be read.',
  ),
  s3Endpoint: text(
    'LONGSHORE_S3_ENDPOINT',
    '',
    'URL of the S3 server that `s3://bucket/key` means where it names none. Default: that of AWS.',
  ),
  s3RoleArn: text(
    'LONGSHORE_S3_ROLE_ARN',
    '',
    'Role by which S3 sources without a secret are read, on servers of AWS and on LONGSHORE_S3_ENDPOINT, by web identity. Whoever may import may then read what the role may. Default: they are read without credentials.',
  ),
  s3TokenFile: text(
    'LONGSHORE_S3_TOKEN_FILE',
    '/var/run/secrets/eks.amazonaws.com/serviceaccount/token',
    'File with the token that the role is given for.',
  ),
  s3StsEndpoint: text(
    'LONGSHORE_S3_STS_ENDPOINT',
    '',
    'URL of the security token service that gives the role. Default: that of AWS in the region of the source.',
  ),
  gcsEndpoint: text(
    'LONGSHORE_GCS_ENDPOINT',
    'https://storage.googleapis.com',
    'URL of the Google Cloud Storage that `gs://bucket/object` means.',
  ),
  httpProxy: shared(
    'HTTP_PROXY',
    'Proxy for sources over http, where CDIConfig names none (`importProxy`); also `http_proxy`. A source on loopback is reached directly.',
  ),
  httpsProxy: shared('HTTPS_PROXY', 'The same for sources over https; also `https_proxy`.'),
  noProxy: shared(
    'NO_PROXY',
    'Hosts, domains and networks, with commas, that are reached without these proxies; also `no_proxy`.',
  ),
  attemptLimit: whole('LONGSHORE_ATTEMPT_LIMIT', 10, 'Attempts for failures that may pass by themselves.', 1),
  backoffBaseMs: whole('LONGSHORE_BACKOFF_BASE_MS', 2_000, 'First delay between attempts; doubles up to the cap.', 1),
  backoffCapMs: whole('LONGSHORE_BACKOFF_CAP_MS', 300_000, 'Longest delay between attempts.', 1),
  byteBudgetFactor: decimal(
    'LONGSHORE_BYTE_BUDGET',
    2,
    'All attempts together fetch at most this many times the size of the source, but for those that end by a fault of this machine.',
  ),
  connectTimeoutMs: whole('LONGSHORE_CONNECT_TIMEOUT_MS', 10_000, 'Longest wait for a connection to a source.', 1),
  firstByteTimeoutMs: whole(
    'LONGSHORE_FIRST_BYTE_TIMEOUT_MS',
    120_000,
    'Longest wait for the first byte of an answer.',
    1,
  ),
  idleTimeoutMs: whole('LONGSHORE_IDLE_TIMEOUT_MS', 60_000, 'Longest silence between two chunks.', 1),
  totalTimeoutMs: whole(
    'LONGSHORE_TOTAL_TIMEOUT_MS',
    0,
    'Longest time for one import, conversion or clone; 0: no limit, only the one on silence.',
  ),
  lockDurationMs: whole('LONGSHORE_LOCK_DURATION_MS', 30_000, 'How long a job stays locked without renewal.', 500),
  tokenLifetimeSeconds: whole('LONGSHORE_TOKEN_LIFETIME_S', 300, 'Lifetime of an upload token.', 1),
  storeBudgetMiB: whole(
    'LONGSHORE_STORE_BUDGET_MIB',
    128,
    'Size of all objects together (JSON) beyond which users create no more of them. The API keeps them in memory.',
    1,
  ),
  readyWaitMs: whole('LONGSHORE_READY_WAIT_MS', 10_000, 'How long the upload proxy waits for a claim to be ready.'),
  certificateLifetimeSeconds: whole(
    'LONGSHORE_CERTIFICATE_LIFETIME_S',
    7_776_000,
    'Lifetime of the certificates of the service; new ones are made when less than a third is left.',
    10,
  ),
  caLifetimeSeconds: whole(
    'LONGSHORE_CA_LIFETIME_S',
    315_360_000,
    'Lifetime of the CA of the service. Another is trusted beside it when a third is left, and signs when a sixth is left; longer than certificates.',
    30,
  ),
  certificateCheckSeconds: whole(
    'LONGSHORE_CERTIFICATE_CHECK_S',
    3_600,
    'How often the service looks whether certificates end soon, and its processes whether there are new ones.',
    1,
  ),
  clusterNamespace: text('LONGSHORE_NAMESPACE', 'longshore', 'On a cluster: namespace of the service.'),
  podName: text('HOSTNAME', 'longshore', 'On a cluster: name of the pod, in the lease of the controller that leads.'),
  kubeHost: text(
    'KUBERNETES_SERVICE_HOST',
    '',
    'On a cluster: where kube-apiserver is; Kubernetes sets it in every pod.',
  ),
  kubePort: whole('KUBERNETES_SERVICE_PORT', 443, 'On a cluster: port of kube-apiserver.'),
  kubeconfig: text('LONGSHORE_KUBECONFIG', '', 'On a cluster: kubeconfig for a process that runs outside of a pod.'),
  apiHosts: text(
    'LONGSHORE_API_HOSTS',
    '',
    'On a cluster: names by which the Service of the API is dialled, with commas.',
  ),
  uploadProxyHosts: text(
    'LONGSHORE_UPLOADPROXY_HOSTS',
    '',
    'On a cluster: names by which the upload proxy is dialled, with commas.',
  ),
  enrolmentAddress: text(
    'LONGSHORE_ENROLMENT',
    '',
    'On a cluster: host:port where workers get their certificates; the controller listens there.',
  ),
  workerAccount: text('LONGSHORE_WORKER_ACCOUNT', 'longshore-worker', 'On a cluster: service account of the workers.'),
  workerTokenPath: text(
    'LONGSHORE_WORKER_TOKEN',
    '/var/run/secrets/longshore/token',
    'On a cluster: file with the token by which a worker proves its node.',
  ),
  uploadProxyService: text(
    'LONGSHORE_UPLOADPROXY_SERVICE',
    'cdi-uploadproxy',
    'On a cluster: Service of the upload proxy; clients upload to the host of the Ingress that leads there.',
  ),
  csiDriver: text('LONGSHORE_CSI_DRIVER', provisionerName, 'On a cluster: name of the CSI driver.'),
  csiSocket: text('LONGSHORE_CSI_SOCKET', '/csi/csi.sock', 'On a cluster: where the worker serves the CSI driver.'),
  kubeletDirectory: text(
    'LONGSHORE_KUBELET',
    '/var/lib/kubelet',
    'On a cluster: root directory of the kubelet, which is mounted there in the worker too.',
  ),
  metricsHost: text('LONGSHORE_METRICS_HOST', '127.0.0.1', 'Address on which metrics, /livez and /readyz are served.'),
  nodeLostSeconds: whole(
    'LONGSHORE_NODE_LOST_S',
    60,
    'After this long without its worker a node counts as lost: what waits for it and has no volume there is planned anew.',
    1,
  ),
  overcommit: decimal('LONGSHORE_OVERCOMMIT', 1, 'How many times its capacity a pool may promise.'),
  toolMemoryMiB: whole(
    'LONGSHORE_TOOL_MEMORY_MIB',
    1024,
    'Address space of qemu-img and of the decompressors; of the one that unpacks compressed clusters beside the 640 MiB that Node reserves.',
    64,
  ),
  toolCpuSeconds: whole('LONGSHORE_TOOL_CPU_S', 86_400, 'CPU seconds of one run of qemu-img or a decompressor.', 1),
  drainSeconds: whole('LONGSHORE_DRAIN_S', 10, 'How long a stopping worker lets its attempts go on.'),
} as const satisfies Record<string, Setting<string> | Setting<number>>;

export type Config = {
  readonly [K in keyof typeof settings]: (typeof settings)[K]['fallback'] extends number ? number : string;
};

/**
 * @param environment usually process.env, which only main/ passes
 * @throws Fault InvalidSetting naming the variable
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const entries = Object.entries<Setting<string> | Setting<number>>(settings).map(([name, setting]) => {
    const given = environment[setting.variable] || environment[setting.otherVariable ?? ''];
    if (given === undefined || given === '') return [name, setting.fallback];
    const parsed = setting.parse(given);
    if (parsed === undefined) throw new Fault('InvalidSetting', `${setting.variable}=${given}: ${setting.meaning}`);
    return [name, parsed];
  });
  // Safe: built from the very table that Config is derived from.
  return Object.fromEntries(entries) as Config;
}
