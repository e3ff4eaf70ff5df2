// What the processes of the chart asked of kube-apiserver on a cluster of ours, as its audit log tells.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { releaseNamespace } from './chart.ts';
import type { Right } from './chart-rights.ts';

export interface AskedRight {
  process: string;
  right: Right;
  /** By who may do what; not by what else there is to be said against it. */
  isAllowed: boolean;
  atMs: number;
}

/** One request that is done, or a watch that has ended. */
export interface AuditEvent {
  verb: string;
  /** Who could not prove who it is has no name. */
  user: { username?: string };
  userAgent?: string;
  sourceIPs?: string[];
  requestReceivedTimestamp: string;
  responseStatus?: { code?: number };
  objectRef?: {
    apiGroup?: string;
    resource: string;
    subresource?: string;
    namespace?: string;
    name?: string;
  };
  annotations?: Record<string, string>;
}

/** The processes of the chart are the accounts of this name and theirs. */
const account = `system:serviceaccount:${releaseNamespace}:longshore-`;

/** Those of the processes of the chart. @param directory of the cluster */
export async function ownRequests(directory: string): Promise<AuditEvent[]> {
  const lines = (await readFile(join(directory, 'logs', 'audit.jsonl'), 'utf8')).split('\n');
  // The last line may be half written. Safe: the format of audit.k8s.io/v1.
  const events = lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEvent);
  return events.filter(({ user }) => user.username?.startsWith(account) === true);
}

/** Of the process that asked: api, controller, uploadproxy, worker. */
export function processOf({ user }: AuditEvent): string {
  return user.username?.slice(account.length) ?? '';
}

/** @param directory of the cluster */
export async function askedRights(directory: string): Promise<AskedRight[]> {
  return (await ownRequests(directory)).flatMap((event) => {
    const { verb, objectRef, annotations } = event;
    if (objectRef === undefined) return [];
    const { apiGroup: group = '', resource, subresource, namespace, name } = objectRef;
    const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
    const named = name === undefined ? {} : { name };
    const right = { verb, group, resource: whole, ...named, here: namespace === releaseNamespace };
    const isAllowed = annotations?.['authorization.k8s.io/decision'] === 'allow';
    return [{ process: processOf(event), right, isAllowed, atMs: Date.parse(event.requestReceivedTimestamp) }];
  });
}
