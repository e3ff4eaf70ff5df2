// How the upload proxy and a worker of the same machine agree on the way of a body: the request over mTLS has none, and names a socket in the directory
// that both reach, and a ticket that is good for this body and once. The worker dials, shows the ticket, and gets the bytes as they are.
import { randomBytes } from 'node:crypto';

export interface HandedBody {
  socketName: string;
  ticket: string;
}

export const handedBodyHeader = 'longshore-body';
export const handedBytesHeader = 'longshore-body-bytes';
/** Of a ticket, as it is sent. */
export const ticketBytes = 32;

const shape = /^(bodies-[0-9a-f]{16}\.sock):([0-9a-f]{32})$/;

export function isBodySocket(name: string): boolean {
  return /^bodies-[0-9a-f]{16}\.sock$/.test(name);
}

export function newBodySocketName(): string {
  return `bodies-${randomBytes(8).toString('hex')}.sock`;
}

export function newTicket(): string {
  return randomBytes(ticketBytes / 2).toString('hex');
}

export function formatHandedBody({ socketName, ticket }: HandedBody): string {
  return `${socketName}:${ticket}`;
}

/** @returns undefined where it is none */
export function parseHandedBody(text: string): HandedBody | undefined {
  const [, socketName, ticket] = shape.exec(text) ?? [];
  return socketName === undefined || ticket === undefined ? undefined : { socketName, ticket };
}
