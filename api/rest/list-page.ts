// Lists in pages: `limit` entries, and a token to go on from. A later page is of the state at its own time, as Kubernetes' inconsistent
// continuation is.
import type { StoredEntry } from '../store/stored-entry.ts';
import { badRequest } from './kube-status.ts';
import { isRecord } from './read-object.ts';

export interface Page {
  readonly entries: readonly StoredEntry[];
  readonly continue?: string;
  readonly remaining?: number;
}

interface Position {
  readonly namespace: string;
  readonly name: string;
}

function encode({ namespace, name }: Position): string {
  return Buffer.from(JSON.stringify({ v: 1, namespace, name })).toString('base64url');
}

/** @throws Fault MalformedRequest */
function decode(token: string): Position {
  try {
    const read: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (isRecord(read) && typeof read['namespace'] === 'string' && typeof read['name'] === 'string') {
      return { namespace: read['namespace'], name: read['name'] };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw badRequest('continue key is not valid');
}

function isAfter(entry: StoredEntry, position: Position): boolean {
  if (entry.namespace !== position.namespace) return entry.namespace > position.namespace;
  return entry.name > position.name;
}

/** @param all in order of namespace and name. @throws Fault MalformedRequest */
export function pageOf(all: readonly StoredEntry[], limitText: string | undefined, token: string | undefined): Page {
  const limit = Number(limitText ?? 0);
  if (!Number.isSafeInteger(limit) || limit < 0) throw badRequest(`limit: Invalid value: "${limitText}"`);
  const position = token ? decode(token) : undefined;
  const rest = position === undefined ? all : all.filter((entry) => isAfter(entry, position));
  const entries = limit === 0 ? rest : rest.slice(0, limit);
  const last = entries.at(-1);
  if (entries.length === rest.length || last === undefined) return { entries };
  return { entries, continue: encode(last), remaining: rest.length - entries.length };
}
