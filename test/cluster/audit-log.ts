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
  annotations?: Record<string, string>;
}

/** @param directory of the cluster */
export async function askedRights(directory: string): Promise<AskedRight[]> {
  const lines = (await readFile(join(directory, 'logs', 'audit.jsonl'), 'utf8')).split('\n');
  // The last line may be half written.
  return lines.slice(0, -1).flatMap((line) => {
    // Safe: the format of audit.k8s.io/v1.
    const { verb, user, objectRef, annotations } = JSON.parse(line) as AuditEvent;
    const account = `system:serviceaccount:${releaseNamespace}:longshore-`;
    if (!user.username.startsWith(account) || objectRef === undefined) return [];
    const { apiGroup: group = '', resource, subresource, namespace, name } = objectRef;
    const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
    const named = name === undefined ? {} : { name };
    const right = { verb, group, resource: whole, ...named, here: namespace === releaseNamespace };
    const isAllowed = annotations?.['authorization.k8s.io/decision'] === 'allow';
    return [{ process: user.username.slice(account.length), right, isAllowed }];
  });
}
