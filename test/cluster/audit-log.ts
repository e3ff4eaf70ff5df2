// What the processes of the chart asked of kube-apiserver on a cluster of ours, as its audit log tells.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { releaseNamespace } from './chart.ts';
import type { Right } from './chart-rights.ts';

export interface AskedRight {
  process: string;
  right: Right;
  /** HTTP status of the answer. */
  status: number;
}

interface AuditEvent {
  verb: string;
  user: { username: string };
  objectRef?: {
    apiGroup?: string;
    resource: string;
    subresource?: string;
    namespace?: string;
    name?: string;
  };
  responseStatus?: { code?: number };
}

/** @param directory of the cluster */
export async function askedRights(directory: string): Promise<AskedRight[]> {
  const lines = (await readFile(join(directory, 'logs', 'audit.jsonl'), 'utf8')).split('\n');
  // The last line may be half written.
  return lines.slice(0, -1).flatMap((line) => {
    // Safe: the format of audit.k8s.io/v1.
    const { verb, user, objectRef, responseStatus } = JSON.parse(line) as AuditEvent;
    const account = `system:serviceaccount:${releaseNamespace}:longshore-`;
    if (!user.username.startsWith(account) || objectRef === undefined) return [];
    const { apiGroup: group = '', resource, subresource, namespace, name } = objectRef;
    const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
    const named = name === undefined ? {} : { name };
    const right = { verb, group, resource: whole, ...named, here: namespace === releaseNamespace };
    return [{ process: user.username.slice(account.length), right, status: responseStatus?.code ?? 0 }];
  });
}
