// The API of a service on a cluster behind a real kube-apiserver: the chart's webhooks and APIService call it, over certificates that the controller keeps, and
// controller and API have the chart's rights. A Service that leads out of the cluster stands in for the pods, as there is no node.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClusterPki, keepClusterPki } from '../../cluster/cluster-pki.ts';
import { KubeObjectStore } from '../../cluster/kube-object-store.ts';
import { followPki } from '../../cluster/pki-secrets.ts';
import { startClusterApi } from '../../cluster/start-cluster-api.ts';
import { provisionerName } from '../../domain/annotations.ts';
import { CertificateAuthority } from '../../runtime/certificates.ts';
import { loadConfig } from '../../runtime/config.ts';
import { parseAddress } from '../../runtime/listen.ts';
import { createLogger } from '../../runtime/logger.ts';
import { tlsNames } from '../../runtime/service-certificates.ts';
import { loadRenewedTls } from '../../runtime/tls-renewal.ts';
import { UploadTokens } from '../../runtime/upload-tokens.ts';
import { programsOf } from './build-programs.ts';
import { find, type Manifest, releaseNamespace as namespace, podsOf } from './chart.ts';
import { clientOf, installAccounts } from './chart-accounts.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { frontProxyName } from './credentials.ts';
import { Kubectl } from './kubectl.ts';

const logger = createLogger({ logLevel: 'silent' }, 'test');
const everySeconds = 1;
const calledByApiserver = ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration', 'APIService'];
const apiService = 'v1beta1.upload.cdi.kubevirt.io';

interface Parts {
  plane: ControlPlane;
  kubectl: Kubectl;
  /** Where the controller keeps the certificates, and where the API has its own. */
  directories: { controller: string; api: string };
  /** What the chart tells the controller. */
  environment: Readonly<Record<string, string>>;
  port: number;
  stopApi(): Promise<void>;
  keepPki(environment: Readonly<Record<string, string>>): Promise<void>;
}

export class ClusterApiFixture {
  readonly plane: ControlPlane;
  readonly kubectl: Kubectl;
  readonly directories: Parts['directories'];
  readonly port: number;
  readonly #parts: Parts;
  readonly #undo: AsyncDisposableStack;

  private constructor(parts: Parts, undo: AsyncDisposableStack) {
    this.plane = parts.plane;
    this.kubectl = parts.kubectl;
    this.directories = parts.directories;
    this.port = parts.port;
    this.#parts = parts;
    this.#undo = undo;
  }

  static async start(): Promise<ClusterApiFixture> {
    await using undo = new AsyncDisposableStack();
    const plane = await startControlPlane({ components: ['etcd', 'apiserver'] });
    undo.defer(() => plane.stop());
    const kubectl = new Kubectl(join(await programsOf('kubernetes', () => undefined), 'kubectl'), plane.kubeconfig);
    const manifests = await installAccounts(kubectl);
    const definitions = manifests.filter(({ kind }) => kind === 'CustomResourceDefinition');
    await kubectl.out(['create', '-f', '-'], asText(definitions));
    await kubectl.out(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all']);

    const place = await mkdtemp(join(tmpdir(), 'ls-cluster-api-'));
    undo.defer(() => rm(place, { recursive: true, force: true }));
    const directories = { controller: join(place, 'controller'), api: join(place, 'api') };
    const environment = environmentOf(manifests, 'longshore-controller');
    const controller = await clientOf(plane, kubectl, 'longshore-controller');
    undo.defer(() => controller.close());
    const keepers: ClusterPki[] = [];
    undo.defer(async () => {
      for (const keeper of keepers) await keeper.stop();
    });
    const keepPki = async (settings: Readonly<Record<string, string>>) => {
      const config = loadConfig({ ...settings, LONGSHORE_CERTIFICATE_CHECK_S: String(everySeconds) });
      const kept = { store: new KubeObjectStore(controller), namespace, directory: directories.controller };
      keepers.push(await keepClusterPki(kept, config, logger));
    };
    await keepPki(environment);
    const api = await startApi(plane, kubectl, directories.api, undo);
    const { port } = parseAddress(api.address);
    const called = manifests.filter(({ kind }) => calledByApiserver.includes(kind));
    await kubectl.out(['create', '-f', '-'], asText([serviceOutside, ...called.map((one) => atPort(one, port))]));
    await kubectl.out(['wait', '--for=condition=Available', '--timeout=60s', 'apiservice', apiService]);
    const stopApi = () => api.close();
    return new ClusterApiFixture({ plane, kubectl, directories, environment, port, stopApi, keepPki }, undo.move());
  }

  /** As another controller that leads from now on and that dials the API by one more name: the certificate of the API is made anew. */
  keepPkiWithAnotherName(name: string): Promise<void> {
    const { environment, keepPki } = this.#parts;
    return keepPki({ ...environment, LONGSHORE_API_HOSTS: `${environment['LONGSHORE_API_HOSTS']},${name}` });
  }

  /** The authority of certificates by which kube-apiserver is known. */
  frontProxyAuthority(): Promise<CertificateAuthority> {
    return CertificateAuthority.openOrCreate(join(this.plane.kubeconfig, '../front-proxy'));
  }

  /** A certificate like kube-apiserver's, by that authority. */
  async frontProxyPair(authority: CertificateAuthority, cn = frontProxyName) {
    const { key, cert } = await authority.issue({ name: `test-${cn}`, cn, hosts: [], usages: ['client'] });
    return { key, cert };
  }

  stopApi(): Promise<void> {
    return this.#parts.stopApi();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.disposeAsync();
  }
}

/** As `longshore cluster api` does it. */
async function startApi(plane: ControlPlane, kubectl: Kubectl, directory: string, undo: AsyncDisposableStack) {
  const client = await clientOf(plane, kubectl, 'longshore-api');
  undo.defer(() => client.close());
  const store = new KubeObjectStore(client);
  const ending = new AbortController();
  undo.defer(() => ending.abort());
  await followPki({ store, namespace, directory }, 'longshore-api-pki', { signal: ending.signal, logger });
  const tls = await loadRenewedTls({ directory, name: tlsNames.api, everySeconds, logger });
  const tokens = await UploadTokens.open(directory, { lifetimeSeconds: 300 });
  const api = await startClusterApi({
    ...{ address: { host: '127.0.0.1', port: 0 }, tls, reader: store, client, tokens },
    ...{ tokenLifetimeSeconds: 300, everySeconds, logger, provisioning: { by: 'csi', driver: provisionerName } },
  });
  undo.defer(() => api.close());
  return api;
}

function asText(manifests: readonly object[]): string {
  return manifests.map((manifest) => JSON.stringify(manifest)).join('\n');
}

function environmentOf(manifests: readonly Manifest[], name: string): Record<string, string> {
  find(manifests, 'Deployment', name);
  const [container] = podsOf(manifests).get(name)?.spec.containers ?? [];
  const named = (container?.env ?? []).filter(({ value }) => value !== undefined && value !== '');
  return Object.fromEntries(named.map(({ name: variable, value = '' }) => [variable, value]));
}

/** Where kube-apiserver finds the API, which it calls by the name of the Service all the same. */
const serviceOutside = {
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: 'cdi-api' } },
  spec: { type: 'ExternalName', externalName: 'localhost' },
};

/** The same with another port of the Service. */
function atPort(manifest: Manifest, port: number): Manifest {
  // Safe: a number takes the place of a number.
  return JSON.parse(JSON.stringify(manifest, (key, value: unknown) => (key === 'port' ? port : value))) as Manifest;
}
