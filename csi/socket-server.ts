// A gRPC server on a unix socket that only this user may use. A socket that a killed process left is removed; that of one that lives is not.
import { chmod, lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { Fault, toFault } from '../domain/fault.ts';

/** The kernel's limit for the path of a unix socket, without the closing zero. */
const longestPath = 107;

const closeWithinMs = 5_000;

export interface ServedService {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

export interface SocketServer {
  /** Takes no more calls, waits a little for those that run, and removes the socket. */
  close(): Promise<void>;
}

/** @throws Fault InvalidSetting (no directory, too long a path, no socket there), AddressInUse; nothing is left open then */
export async function serveSocket(path: string, services: readonly ServedService[]): Promise<SocketServer> {
  if (Buffer.byteLength(path) > longestPath) {
    throw new Fault('InvalidSetting', `${path}: the path of a socket has at most ${longestPath} bytes`);
  }
  await removeStale(path);
  const server = new Server();
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  try {
    await bind(server, path);
    await chmod(path, 0o600);
  } catch (error) {
    server.forceShutdown();
    throw error;
  }
  return { close: () => close(server, path) };
}

async function removeStale(path: string): Promise<void> {
  const there = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (there === undefined) return;
  if (!there.isSocket()) throw new Fault('InvalidSetting', `${path} is there and no socket`);
  if (await isAnswered(path)) throw new Fault('AddressInUse', `${path} is served by another process`);
  await rm(path, { force: true });
}

function isAnswered(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false)); // refused or gone: nobody is behind it
  return promise.finally(() => socket.destroy());
}

function bind(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
    if (error === null) resolve();
    else reject(new Fault('InvalidSetting', `${path} cannot be served: ${error.message}`, { cause: error }));
  });
  return promise;
}

async function close(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.tryShutdown((error) => {
    if (error === undefined) resolve();
    else reject(toFault(error));
  });
  const enough = new AbortController();
  const late = delay(closeWithinMs, undefined, { signal: enough.signal }).then(
    () => server.forceShutdown(),
    () => undefined, // it was shut down in time
  );
  try {
    await Promise.race([promise, late]);
  } finally {
    enough.abort();
  }
  await rm(path, { force: true });
}
