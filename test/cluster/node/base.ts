// What is installed into a new cluster before it counts as up: base.yaml.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../../domain/fault.ts';
import { nodeName } from '../credentials.ts';
import { answerOf } from '../run-program.ts';
import { corednsImage } from './images.ts';
import { dnsServiceAddress } from './network.ts';

const readyLimit = '--timeout=120s';

/** Resolves when the node is Ready, pods may be made in the default namespace, and names of Services are answered. */
export async function installBase(programs: string, kubeconfig: string): Promise<void> {
  const kubectl = async (args: readonly string[], input = '') => {
    const { code, err } = await answerOf(join(programs, 'kubectl'), ['--kubeconfig', kubeconfig, ...args], input);
    if (code !== 0) throw new Fault('Internal', `kubectl ${args.join(' ')}: ${err.trim()}`);
  };
  const manifests = (await readFile(join(import.meta.dirname, 'base.yaml'), 'utf8'))
    .replace('@DNS_ADDRESS@', dnsServiceAddress)
    .replace('@COREDNS_IMAGE@', await corednsImage());
  await kubectl(['apply', '--server-side', '-f', '-'], manifests);
  await kubectl(['wait', '--for=create', `node/${nodeName}`, readyLimit]);
  await kubectl(['wait', '--for=condition=Ready', `node/${nodeName}`, readyLimit]);
  await kubectl(['wait', '--for=create', '--namespace=default', 'serviceaccount/default', readyLimit]);
  await kubectl(['rollout', 'status', '--namespace=kube-system', 'deployment/coredns', readyLimit]);
}
