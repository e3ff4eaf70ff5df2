// Questions to kube-apiserver about what a user may do: SubjectAccessReview.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { askCanClone, type CloneVerdict } from '../domain/can-clone.ts';
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

/** Whether the user may clone, and which right is missing if not. @throws Fault ServiceUnreachable */
export function userCanClone(
  client: Pick<KubeClient, 'json'>,
  user: ClusterUser,
  needed: CloneAuthorization,
): Promise<CloneVerdict> {
  return askCanClone(needed, async (right) => (await reviewAccess(client, user, right)).allowed);
}
