// Listening as a promise, with the catalogue's words for an address that is taken or not ours.
import type { Server as HttpServer } from 'node:http';
import type { Server } from 'node:net';
import { Fault, toFault } from '../domain/fault.ts';

export interface ListenAddress {
  host: string;
  /** 0 takes a free one. */
  port: number;
}

/**
 * @returns the address with the port that was taken
 * @throws Fault AddressInUse, PermissionDenied
 */
export async function listenOn(server: Server, address: ListenAddress): Promise<ListenAddress> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host: address.host, port: address.port }, resolve);
  try {
    await promise;
  } catch (error) {
    const fault = toFault(error);
    throw new Fault(fault.code, `${formatAddress(address)}: ${fault.detail}`, { cause: error });
  } finally {
    server.off('error', reject);
  }
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Fault('Internal', 'the server has no port');
  return { host: address.host, port: bound.port };
}

/** On a unix socket, whose file goes when the server is closed. @throws Fault */
export async function listenAt(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ path }, resolve);
  try {
    await promise;
  } catch (error) {
    throw toFault(error);
  } finally {
    server.off('error', reject);
  }
}

/** Ends a server with all of its connections. */
export async function closeServer(server: Server | HttpServer): Promise<void> {
  if (!server.listening) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  if ('closeAllConnections' in server) server.closeAllConnections();
  await promise;
}

/** host:port, with brackets around an IPv6 address. */
export function formatAddress(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** @throws Fault InvalidSetting where it is not host:port */
export function parseAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) throw new Fault('InvalidSetting', `${text}: host:port is wanted`);
  return { host, port };
}
