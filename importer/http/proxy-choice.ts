// Chooses the proxy of a request in the way curl and Go read HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Pure.
import { isIP } from 'node:net';
import type { Config } from '../../runtime/config.ts';
import { isWithin, parseNetworks } from '../../runtime/networks.ts';

export interface ProxySettings {
  http?: string;
  https?: string;
  /** Comma-separated hosts, domains (`example.org`, `.example.org`), addresses, networks (`10.0.0.0/8`), each with an optional port, or `*`. */
  no?: string;
}

export type MachineProxies = Pick<Config, 'httpProxy' | 'httpsProxy' | 'noProxy'>;

/** The proxies of the machine, for where CDIConfig names none. As Go reads them, what lies on the machine itself is reached without. */
export function machineProxies({ httpProxy, httpsProxy, noProxy }: MachineProxies): ProxySettings | undefined {
  if (httpProxy === '' && httpsProxy === '') return undefined;
  return { http: httpProxy, https: httpsProxy, no: `localhost,127.0.0.0/8,::1,${noProxy}` };
}

/** @returns URL of the proxy, or undefined for a direct connection */
export function chooseProxy(target: URL, settings: ProxySettings | undefined): string | undefined {
  const proxy = target.protocol === 'https:' ? settings?.https : settings?.http;
  if (proxy === undefined || proxy === '') return undefined;
  const rules = (settings?.no ?? '').split(',').map((rule) => rule.trim().toLowerCase());
  if (rules.some((rule) => rule !== '' && exempts(rule, target))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function exempts(rule: string, target: URL): boolean {
  if (rule === '*') return true;
  const host = target.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (rule.includes('/')) {
    const network = parseNetworks([rule]);
    return network !== undefined && isIP(host) !== 0 && isWithin(network, host);
  }
  const { name, port } = splitPort(rule);
  const targetPort = target.port === '' ? (target.protocol === 'https:' ? '443' : '80') : target.port;
  if (port !== undefined && port !== targetPort) return false;
  const domain = name.replace(/^\*?\./, '');
  return host === domain || (isIP(host) === 0 && host.endsWith(`.${domain}`));
}

function splitPort(rule: string): { name: string; port?: string } {
  if (isIP(rule) === 6) return { name: rule };
  const match = /^\[?([^\]]*?)\]?:(\d+)$/.exec(rule);
  return match?.[1] === undefined || match[2] === undefined ? { name: rule } : { name: match[1], port: match[2] };
}
