// Where a service on one machine listens and how clients name it: the meaning of --listen, free ports, and the names in certificates.
import { createServer, isIP, type Server } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { Fault } from '../domain/fault.ts';
import { closeServer, type ListenAddress, listenOn, parseAddress } from './listen.ts';

export interface PublicAddresses {
  api: ListenAddress;
  uploadProxy: ListenAddress;
}

export interface ServiceAddresses extends PublicAddresses {
  /** Between controller and workers; on loopback. */
  channel: ListenAddress;
}

/**
 * `host`, `host:port` (the upload proxy then takes the next port) or `host:0` (both take free ones).
 * @throws Fault InvalidSetting
 */
export function parseListen(text: string, ports: { api: number; uploadProxy: number }): PublicAddresses {
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) === 6 || !text.includes(':')) {
    if (bare === '') throw new Fault('InvalidSetting', '--listen: host or host:port is wanted');
    return { api: { host: bare, port: ports.api }, uploadProxy: { host: bare, port: ports.uploadProxy } };
  }
  const api = parseAddress(text);
  return { api, uploadProxy: { host: api.host, port: api.port === 0 ? 0 : api.port + 1 } };
}

/** The same addresses with numbers for the ports that were 0, free at this moment, and one for the channel. */
export async function settlePorts(addresses: PublicAddresses): Promise<ServiceAddresses> {
  const held: Server[] = [];
  const settle = async (address: ListenAddress): Promise<ListenAddress> => {
    if (address.port !== 0) return address;
    const server = createServer();
    held.push(server);
    return listenOn(server, address);
  };
  try {
    // All are held until all are known, so that they differ.
    const [api, uploadProxy] = [await settle(addresses.api), await settle(addresses.uploadProxy)];
    return { api, uploadProxy, channel: await settle({ host: '127.0.0.1', port: 0 }) };
  } finally {
    await Promise.all(held.map(closeServer));
  }
}

/** What clients dial: the host itself, or, where all addresses are listened on, the first that is not loopback. */
export function dialHost(host: string): string {
  if (!isWildcard(host)) return host;
  return outerAddresses()[0] ?? '127.0.0.1';
}

/** Names for the certificates of API and upload proxy. */
export function certificateHosts(host: string): string[] {
  const names = ['localhost', '127.0.0.1', '::1', hostname()];
  return [...new Set([...names, ...(isWildcard(host) ? outerAddresses() : [host])])];
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function outerAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter((entry) => !entry.internal && entry.scopeid === undefined)
    .sort((one, other) => one.family.localeCompare(other.family))
    .map((entry) => entry.address);
}
