// The cluster that tests run on. Where KUBECONFIG is set, that one; else one of this run's own, which the first test file that asks brings up, the
// next ones find, and the end of the run takes down.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { identityOf } from '../../runtime/process-identity.ts';
import { programsOf } from './build-programs.ts';
import { Kubectl } from './kubectl.ts';
import { busyboxArchive } from './node/images.ts';
import { clusterOfRun } from './run-setup.ts';
import { bringUp, findNodeOf, type SingleNode } from './single-node.ts';

const run = promisify(execFile);

export interface TestCluster {
  kubeconfig: string;
  kubectl: Kubectl;
  /** Paths of programs. */
  programs: { kubectl: string; helm: string; csiSanity: string };
  /** Where pods find what listens on this host. */
  hostAddress(): string;
  /** Puts the image of an OCI archive where pods find it by that reference; elsewhere that must be the one that the archive itself tells. */
  loadImage(archive: string, reference: string): Promise<void>;
  /** Where it is one of ours: its components can be killed, and its files looked at. */
  node: SingleNode | undefined;
}

/** @throws Fault as `bringUp` */
export async function testCluster(): Promise<TestCluster> {
  const say = (line: string) => process.stderr.write(`cluster: ${line}\n`);
  const given = process.env['KUBECONFIG'];
  const node = given === undefined || given === '' ? await ownNode(say) : await findNodeOf(given);
  if (node === undefined) await loadElsewhere((await busyboxArchive()).archive);
  const kubeconfig = node?.kubeconfig ?? given ?? '';
  const companions = await programsOf('companions', say);
  const kubectl = join(await programsOf('kubernetes', say), 'kubectl');
  return {
    kubeconfig,
    kubectl: new Kubectl(kubectl, kubeconfig),
    programs: { kubectl, helm: join(companions, 'helm'), csiSanity: join(companions, 'csi-sanity') },
    hostAddress: () => node?.hostAddress ?? setting('LONGSHORE_TEST_HOST', 'the address of this host as pods see it'),
    loadImage: (archive, reference) =>
      node === undefined ? loadElsewhere(archive) : node.loadImage(archive, reference),
    node,
  };
}

async function ownNode(say: (line: string) => void): Promise<SingleNode> {
  const runPid = inject('runPid');
  const owner = identityOf(runPid);
  if (owner === undefined) throw new Fault('Internal', `process ${runPid}, which runs the tests, is gone`);
  return bringUp(clusterOfRun(runPid), { say, owner });
}

/** The archive names the image itself; kind, minikube and k3s each have a command that takes it. */
async function loadElsewhere(archive: string): Promise<void> {
  const command = setting(
    'LONGSHORE_TEST_LOAD_IMAGE',
    "a command that takes an OCI archive, like 'kind load image-archive'",
  );
  await run('sh', ['-c', `${command} "$1"`, 'sh', archive]);
}

function setting(name: string, what: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new Fault('InvalidSetting', `with a KUBECONFIG of another cluster, set ${name} to ${what}`);
}
