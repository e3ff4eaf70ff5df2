// Where workers get their certificates, over a real kube-apiserver with nodes and pods that are only objects. Controller and workers have the rights of the chart.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEnrolmentServer } from '../../cluster/enrolment-server.ts';
import type { KubeClient } from '../../cluster/kube-client.ts';
import { CertificateAuthority, controllerName } from '../../runtime/certificates.ts';
import type { ListenAddress } from '../../runtime/listen.ts';
import { createLogger } from '../../runtime/logger.ts';
import { programsOf } from './build-programs.ts';
import { releaseNamespace as namespace } from './chart.ts';
import { clientOf, installAccounts, type TokenWishes, tokenOf } from './chart-accounts.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';

export const workerAccount = 'longshore-worker';
export const enrolmentAudience = 'longshore';
export const silent = createLogger({ logLevel: 'silent' }, 'test');

export class EnrolmentFixture {
  readonly plane: ControlPlane;
  readonly kubectl: Kubectl;
  readonly directory: string;
  /** Signs everything. */
  readonly authority: CertificateAuthority;
  readonly #client: KubeClient;
  readonly #undo: AsyncDisposableStack;

  private constructor(
    parts: Pick<EnrolmentFixture, 'plane' | 'kubectl' | 'directory' | 'authority'>,
    client: KubeClient,
    undo: AsyncDisposableStack,
  ) {
    this.plane = parts.plane;
    this.kubectl = parts.kubectl;
    this.directory = parts.directory;
    this.authority = parts.authority;
    this.#client = client;
    this.#undo = undo;
  }

  static async start(nodes: readonly string[]): Promise<EnrolmentFixture> {
    await using undo = new AsyncDisposableStack();
    const plane = await startControlPlane({ components: ['etcd', 'apiserver'] });
    undo.defer(() => plane.stop());
    const kubectl = new Kubectl(join(await programsOf('kubernetes', () => undefined), 'kubectl'), plane.kubeconfig);
    await installAccounts(kubectl);
    for (const name of nodes) {
      await kubectl.out(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name } }));
    }
    const directory = await mkdtemp(join(tmpdir(), 'ls-enrolment-'));
    undo.defer(() => rm(directory, { recursive: true, force: true }));
    const client = await clientOf(plane, kubectl, 'longshore-controller');
    undo.defer(() => client.close());
    const authority = await CertificateAuthority.openOrCreate(directory);
    return new EnrolmentFixture({ plane, kubectl, directory, authority }, client, undo.move());
  }

  /** The controller's end. @param wishes.lifetimeSeconds of the certificates of workers @param wishes.signer in place of the authority that signs the rest */
  async startServer(wishes: { lifetimeSeconds?: number; signer?: CertificateAuthority; address?: ListenAddress } = {}) {
    const { lifetimeSeconds, signer = this.authority, address = { host: '127.0.0.1', port: 0 } } = wishes;
    const signing = await CertificateAuthority.openOrCreate(
      signer.directory,
      lifetimeSeconds === undefined ? {} : { lifetimeSeconds },
    );
    const tls = await signer.issue({
      ...{ name: 'controller', cn: controllerName, hosts: [], usages: ['server', 'client'] },
    });
    return startEnrolmentServer({
      ...{ address, tls, client: this.#client, logger: silent, authority: () => signing },
      serviceAccount: { namespace, name: workerAccount },
    });
  }

  /** A pod of that account on that node, as the scheduler leaves it to the kubelet. */
  async addPod(name: string, node: string, account = workerAccount): Promise<NonNullable<TokenWishes['pod']>> {
    const spec = { nodeName: node, serviceAccountName: account, containers: [{ name: 'worker', image: 'none' }] };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name }, spec };
    const made = JSON.parse(await this.kubectl.out(['create', '-f', '-', '-o', 'json'], JSON.stringify(pod)));
    return { name, uid: made.metadata.uid };
  }

  /** The token that the kubelet would give to the worker of a new pod on that node. */
  async workerToken(podName: string, node: string): Promise<string> {
    const pod = await this.addPod(podName, node);
    return tokenOf(this.kubectl, workerAccount, { audience: enrolmentAudience, pod });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.disposeAsync();
  }
}
