// Enforces network policies on a node of ours, as the network of an ordinary cluster does: kube-router, of which only the firewall runs. The plain bridge of the
// test cluster enforces nothing by itself.
import { join } from 'node:path';
import { Fault } from '../../domain/fault.ts';
import { serviceRange } from './addresses.ts';
import { programsOf } from './build-programs.ts';
import { nodeName } from './credentials.ts';
import { findMachine } from './node/machine.ts';
import type { SingleNode } from './single-node.ts';

const name = 'policy-agent';
/** Where the agent hangs its rules in. */
const hooks = ['INPUT', 'FORWARD', 'OUTPUT'];
const agentsOwn = 'KUBE-ROUTER';

/** Resolves when the policies that there are then are in force. @returns what ends it and lets everything through again */
export async function startPolicyAgent(node: SingleNode, say: (line: string) => void): Promise<() => Promise<void>> {
  const program = join(await programsOf('policy-agent', say), 'kube-router');
  const machine = findMachine(node.directory);
  if (machine === undefined) throw new Fault('ServiceUnreachable', `the cluster ${node.name} is not up`);
  const rulesOf = async (chain: string): Promise<string[]> => {
    const rules = (await machine.run(['iptables', '--wait', '-S', chain])).split('\n');
    return rules.filter((rule) => rule.startsWith('-A ') && rule.includes(agentsOwn));
  };
  const argv = [
    ...[program, '--run-firewall=true', '--run-router=false', '--run-service-proxy=false'],
    ...[`--kubeconfig=${node.kubeconfig}`, `--hostname-override=${nodeName}`],
    ...[`--service-cluster-ip-range=${serviceRange}`, '--health-port=0'],
  ];
  await node.table.start(name, { argv, isReady: async () => (await rulesOf('FORWARD')).length > 0 });
  return async () => {
    await node.table.stop(name, 'SIGKILL');
    for (const chain of hooks) {
      for (const rule of await rulesOf(chain))
        await machine.run(['sh', '-c', `iptables --wait ${rule.replace('-A', '-D')}`]);
    }
  };
}
