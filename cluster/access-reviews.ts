// Questions to kube-apiserver about what a user may do: SubjectAccessReview.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { AccessReview, CloneAuthorization } from '../domain/clone-authorization.ts';
import { Fault } from '../domain/fault.ts';
import type { KubeClient } from './kube-client.ts';

/** As in an AdmissionReview and, by the front proxy, in headers. */
export interface ClusterUser {
  username: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}

const Answer = Compile(
  Type.Object({ status: Type.Object({ allowed: Type.Boolean(), reason: Type.Optional(Type.String()) }) }),
);

/** @throws Fault ServiceUnreachable */
export async function reviewAccess(
  client: Pick<KubeClient, 'json'>,
  user: ClusterUser,
  { verb, group, resource, subresource, namespace, name }: AccessReview,
): Promise<{ allowed: boolean; reason: string }> {
  const { username, ...more } = user;
  const optional = { ...(subresource === undefined ? {} : { subresource }), ...(name === undefined ? {} : { name }) };
  const resourceAttributes = { verb, group, resource, namespace, ...optional };
  const answer = await client.json({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: username, ...more, resourceAttributes },
    },
  });
  if (!Answer.Check(answer)) throw new Fault('ServiceUnreachable', 'the answer is no SubjectAccessReview');
  return { allowed: answer.status.allowed, reason: answer.status.reason ?? '' };
}

/** Whether the user holds all rights of one of the sets that would let them clone. Asks no more than it needs. */
export async function mayClone(
  client: Pick<KubeClient, 'json'>,
  user: ClusterUser,
  { anyOf }: CloneAuthorization,
): Promise<boolean> {
  if (anyOf.length === 0) return true;
  for (const rights of anyOf) {
    if (await holdsAll(client, user, rights)) return true;
  }
  return false;
}

async function holdsAll(
  client: Pick<KubeClient, 'json'>,
  user: ClusterUser,
  rights: readonly AccessReview[],
): Promise<boolean> {
  for (const right of rights) {
    if (!(await reviewAccess(client, user, right)).allowed) return false;
  }
  return true;
}
