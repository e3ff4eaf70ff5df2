// The body of an upload that the proxy of this machine hands over on a socket. The kernel fills one memory again and again, and everybody who listens to
// `data` has copied a piece before the next comes: a buffer of its own for each would cost more CPU time than all the rest of the way.
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Fault } from '../domain/fault.ts';
import { type HandedBody, handedBodyHeader, parseHandedBody } from '../jobs/handed-body.ts';
import type { PrivateDirectory } from '../runtime/private-directory.ts';

/** As much as the kernel keeps of a unix socket. */
const memoryBytes = 262_144;

export interface FetchedBody {
  /** Begins; it stands still until it is resumed. The caller destroys it. That nobody gives the body is told as an error of the socket. */
  fetch(): Socket;
}

/**
 * Only of a request that is the proxy's.
 * @returns undefined where the body comes with the request. @throws Fault MalformedRequest
 */
export function handedBodyOf(
  request: IncomingMessage,
  directory: PrivateDirectory | undefined,
): FetchedBody | undefined {
  const header = request.headers[handedBodyHeader];
  if (header === undefined) return undefined;
  const place = typeof header === 'string' ? parseHandedBody(header) : undefined;
  if (place === undefined) throw new Fault('MalformedRequest', 'where the body is cannot be read');
  if (directory === undefined) throw new Fault('MalformedRequest', 'this worker fetches no bodies');
  return { fetch: () => fetchBody(directory, place) };
}

function fetchBody(directory: PrivateDirectory, { socketName, ticket }: HandedBody): Socket {
  const memory = Buffer.allocUnsafeSlow(memoryBytes);
  const socket = connect({
    path: directory.addressOf(socketName),
    onread: {
      buffer: memory,
      callback: (bytes) => {
        socket.emit('data', memory.subarray(0, bytes));
        return true;
      },
    },
  });
  socket.pause();
  socket.on('error', () => undefined); // whoever reads it by then is told, and who does not needs nothing
  socket.write(ticket);
  return socket;
}
