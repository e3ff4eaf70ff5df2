// The machine's network: one cable to the host (a pair of virtual interfaces), no default route. The host reaches the node, pods reach servers on
// the host's end of the cable, and nothing reaches beyond: an address that nobody serves stays unanswered on every network that this runs in.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Fault } from '../../../domain/fault.ts';
import { serviceRange } from '../addresses.ts';
import { isMissing } from '../paths.ts';
import { until } from '../until.ts';
import type { Machine } from './machine.ts';

const run = promisify(execFile);

/** Addresses of pods and Services exist inside only, so clusters side by side share them. */
export const podRange = '10.244.0.0/24';
export const dnsServiceAddress = '10.96.0.10';

export interface Cable {
  /** Where pods find what listens on this host. */
  hostAddress: string;
  /** Where this host finds kube-apiserver and node ports. */
  nodeAddress: string;
}

/** RFC 2544's range for tests between networks: no real host has these addresses. */
const cableRange = '198.18';
const cables = 64;
const removalLimitMs = 10_000;

/**
 * Takes the first free pair of addresses; the name of the host's interface is what reserves it.
 * @param alias by which the interface is found again
 */
export async function connectMachine(machine: Machine, alias: string): Promise<Cable> {
  for (let number = 0; number < cables; number++) {
    const name = `longshore${number}`;
    if (!(await addPair(name, machine.firstPid))) continue;
    const cable = { hostAddress: `${cableRange}.${number}.1`, nodeAddress: `${cableRange}.${number}.2` };
    await run('ip', ['link', 'set', 'dev', name, 'alias', alias]);
    await run('ip', ['address', 'add', `${cable.hostAddress}/24`, 'dev', name]);
    await run('ip', ['link', 'set', name, 'up']);
    await machine.run(['sh', '-euc', insideOf(cable)]);
    return cable;
  }
  throw new Fault('AddressInUse', `all ${cables} cables for test clusters are taken`);
}

/** The interface goes with the machine, which the kernel does a moment later. */
export async function awaitDisconnection(alias: string): Promise<void> {
  await until('the network of the machine being gone', removalLimitMs, async () => {
    const aliases = await Promise.all((await readdir('/sys/class/net')).map(aliasOf));
    return !aliases.includes(alias);
  });
}

async function aliasOf(name: string): Promise<string> {
  try {
    return (await readFile(`/sys/class/net/${name}/ifalias`, 'utf8')).trim();
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && 'code' in error && error.code === 'ENODEV')) return ''; // gone in between
    throw error;
  }
}

async function addPair(name: string, firstPid: number): Promise<boolean> {
  const far = ['peer', 'name', 'host0', 'netns', String(firstPid)];
  try {
    await run('ip', ['link', 'add', name, 'type', 'veth', ...far]);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes('File exists')) return false;
    throw error;
  }
}

/** Service addresses need a route, or a connection fails before kube-proxy's rules can turn it to a pod; what they do not turn dies on `lo`. */
function insideOf({ nodeAddress }: Cable): string {
  return [
    'ip link set lo up',
    `ip address add ${nodeAddress}/24 dev host0`,
    'ip link set host0 up',
    `ip route add ${serviceRange} dev lo src ${nodeAddress}`,
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    '[ ! -e /proc/sys/net/bridge ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables',
  ].join('\n');
}
