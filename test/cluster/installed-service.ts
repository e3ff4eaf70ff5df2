// A service on the test cluster, installed as users install it: the built image on the node, `helm install`, all pods ready. And an API to ask, what
// its pods print, and the sha256 that a pod computes of a disk that it has mounted.
import { expect } from 'vitest';
import { kubeconfigCredentials } from '../../cluster/kube-credentials.ts';
import { versionOfPackage } from '../../runtime/version.ts';
import { callHttps, type HttpsAnswer, type HttpsCall } from '../https-call.ts';
import { builtAlike } from '../image/built-archive.ts';
import type { ApiAnswer } from '../service-fixture.ts';
import type { UploadApi } from '../virtctl/upload-steps.ts';
import { chartDirectory, releaseNamespace } from './chart.ts';
import { busyboxImage } from './node/images.ts';
import { answerOf } from './run-program.ts';
import type { TestCluster } from './test-cluster.ts';
import { until } from './until.ts';

const uploadPort = 31_443;
const patienceMs = 120_000;
const waitLimit = `--timeout=${patienceMs / 1_000}s`;

export class InstalledService implements UploadApi {
  readonly cluster: TestCluster;
  readonly #more: readonly string[];
  #ca = '';

  private constructor(cluster: TestCluster, more: readonly string[]) {
    this.cluster = cluster;
    this.#more = more;
  }

  /**
   * @param more words for helm, besides `values`
   * @throws where a pod does not become ready; the release is left to look into
   */
  static async install(cluster: TestCluster, more: readonly string[] = []): Promise<InstalledService> {
    const reference = `localhost/longshore:${versionOfPackage()}`;
    await cluster.loadImage(await builtAlike(), reference);
    const service = new InstalledService(cluster, more);
    await service.helm('install', 'longshore', chartDirectory, '--create-namespace', ...service.values());
    await service.takeCa();
    await service.tellProxyUrl();
    return service;
  }

  /** Trusts from now on what the service tells everybody to trust. @returns PEM */
  async takeCa(): Promise<string> {
    const ca = await this.cluster.kubectl.get('configmap', 'longshore-ca', '--namespace', releaseNamespace);
    // Safe: the shape of a ConfigMap.
    this.#ca = (ca['data'] as Record<string, string>)['ca.crt'] ?? '';
    return this.#ca;
  }

  /** What the tests set, of which the rest is the default. */
  values(): string[] {
    const proxy = { hosts: [this.#proxyHost], service: { type: 'NodePort', nodePort: uploadPort } };
    return ['--set-json', `uploadProxy=${JSON.stringify(proxy)}`, '--wait', '--timeout', '180s', ...this.#more];
  }

  get #proxyHost(): string {
    return this.cluster.node?.nodeAddress ?? 'localhost';
  }

  /** What an administrator does where no Ingress tells it: virtctl finds the proxy by that. */
  async tellProxyUrl(): Promise<void> {
    const spec = { uploadProxyURLOverride: `https://${this.#proxyHost}:${uploadPort}` };
    const patch = ['patch', 'cdiconfig', 'config', '--type', 'merge', '--patch', JSON.stringify({ spec })];
    await this.cluster.kubectl.out(patch);
  }

  /** One command of helm upon the release's namespace, which must succeed. */
  async helm(...args: string[]): Promise<string> {
    const given = ['--kubeconfig', this.cluster.kubeconfig, '--namespace', releaseNamespace];
    const { code, out, err } = await answerOf(this.cluster.programs.helm, [...args, ...given]);
    expect([code, err], await this.#whatPodsSay(code)).toEqual([0, '']);
    return out;
  }

  async #whatPodsSay(code: number): Promise<string> {
    if (code === 0) return '';
    const pods = await this.cluster.kubectl.answer(['get', 'pods', '--all-namespaces', '--output', 'wide']);
    return `${pods.out}${pods.err}`;
  }

  /** One request to kube-apiserver, as its administrator. */
  async call<T = unknown>(method: string, path: string, body?: unknown): Promise<ApiAnswer<T>> {
    const { server, ca = '', client, token } = await kubeconfigCredentials(this.cluster.kubeconfig);
    const bearer = await token();
    const answer = await callHttps(method, new URL(path, server), {
      ...{ ca, ...(client === undefined ? {} : { identity: client }) },
      headers: {
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    // Safe: the caller says what the path answers.
    return { status: answer.status, body: (answer.text === '' ? undefined : JSON.parse(answer.text)) as T };
  }

  /** One request to the upload proxy, through its Service, trusting the CA that the service tells everybody. */
  upload(method: string, path: string, options: Omit<HttpsCall, 'ca'>): Promise<HttpsAnswer> {
    return callHttps(method, new URL(path, `https://${this.#proxyHost}:${uploadPort}`), { ...options, ca: this.#ca });
  }

  async create(...objects: object[]): Promise<void> {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    await this.cluster.kubectl.out(['create', '-f', '-'], list);
  }

  /** Waits until the DataVolume is in that phase. @throws Fault TimedOut with its conditions */
  async untilPhase(namespace: string, name: string, phase: string): Promise<DataVolumeStatus> {
    const path = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes/${name}`;
    let last: DataVolumeStatus = {};
    const isThere = async () => {
      last = (await this.call<{ status?: DataVolumeStatus }>('GET', path)).body.status ?? {};
      return last.phase === phase || last.phase === 'Failed';
    };
    await until(`${namespace}/${name} is ${phase}`, patienceMs, isThere).catch((error: unknown) => {
      throw new Error(`${namespace}/${name}: ${JSON.stringify(last)}`, { cause: error });
    });
    expect(last.phase, JSON.stringify(last)).toBe(phase);
    return last;
  }

  /** Creates a pod that runs the command once, with the claim mounted at /disk; one of mode Block is that device. */
  async createPod(
    namespace: string,
    name: string,
    { claimName, command, securityContext = {}, mode = 'Filesystem' }: PodWish,
  ): Promise<void> {
    const place =
      mode === 'Block'
        ? { volumeDevices: [{ name: 'disk', devicePath: '/disk' }] }
        : { volumeMounts: [{ name: 'disk', mountPath: '/disk' }] };
    await this.create({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name } },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        securityContext,
        containers: [{ name: 'main', image: busyboxImage, command, ...place }],
        volumes: [{ name: 'disk', persistentVolumeClaim: { claimName } }],
      },
    });
  }

  /** What that pod printed, once it has ended well. */
  async outputOf(namespace: string, name: string): Promise<string> {
    const { kubectl } = this.cluster;
    await kubectl.out([
      'wait',
      '--namespace',
      namespace,
      `pod/${name}`,
      '--for=jsonpath={.status.phase}=Succeeded',
      waitLimit,
    ]);
    return kubectl.out(['logs', '--namespace', namespace, name]);
  }

  /** Creates a pod that mounts the claim and prints the sha256 of its disk. */
  createReader(namespace: string, claimName: string): Promise<void> {
    const securityContext = { runAsUser: 107, runAsGroup: 107, runAsNonRoot: true };
    const command = ['sha256sum', '/disk/disk.img'];
    return this.createPod(namespace, readerOf(claimName), { claimName, command, securityContext });
  }

  async digestOfReader(namespace: string, claimName: string): Promise<string> {
    const [digest = ''] = (await this.outputOf(namespace, readerOf(claimName))).split(' ');
    return digest;
  }

  async readDigest(namespace: string, claimName: string): Promise<string> {
    await this.createReader(namespace, claimName);
    return this.digestOfReader(namespace, claimName);
  }

  /** Replaces the pods in which something was started again, which the kubelet would keep waiting longer each time; all are ready afterwards. */
  async renewPods(): Promise<void> {
    const { kubectl } = this.cluster;
    const inRelease = ['pods', '--namespace', releaseNamespace];
    // Safe: the shape of a list of pods.
    const { items } = (await kubectl.get(...inRelease)) as {
      items: { metadata: { name: string }; status: { containerStatuses?: { restartCount: number }[] } }[];
    };
    const worn = items.filter(({ status }) => status.containerStatuses?.some(({ restartCount }) => restartCount > 0));
    const names = worn.map(({ metadata }) => metadata.name);
    if (names.length > 0) await kubectl.out(['delete', 'pods', '--namespace', releaseNamespace, ...names]);
    await until('all pods are there and ready', patienceMs, async () => {
      const { code } = await kubectl.answer(['wait', ...inRelease, '--all', '--for=condition=Ready', '--timeout=5s']);
      return code === 0;
    });
  }

  /** Keys in the chart's Redis. */
  async redisKeys(): Promise<string[]> {
    const words = ['exec', '--namespace', releaseNamespace, 'longshore-redis-0', '--', 'redis-cli', 'keys', '*'];
    return (await this.cluster.kubectl.out(words)).split('\n').filter((line) => line !== '');
  }
}

interface PodWish {
  claimName: string;
  command: readonly string[];
  securityContext?: object;
  /** Of the claim. */
  mode?: 'Filesystem' | 'Block';
}

export interface DataVolumeStatus {
  phase?: string;
  progress?: string;
  conditions?: { type: string; status: string; reason?: string; message?: string }[];
}

function readerOf(claimName: string): string {
  return `reader-of-${claimName}`;
}
