// UploadTokenRequest: created, answered with a token, never stored. As in CDI the token names a claim; ours also holds the claim's uid, so the
// claim must exist. https://github.com/kubevirt/containerized-data-importer/blob/main/doc/upload.md
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../../domain/fault.ts';
import type { ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { timestamp } from '../store/object-lifecycle.ts';
import { allowedBy, paramOf, requireAllowed } from './api-request.ts';
import { badRequest, Refusal } from './kube-status.ts';
import type { ApiContext } from './request-context.ts';

const UploadTokenRequest = Compile(
  Type.Object({
    metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    spec: Type.Object({ pvcName: Type.String({ minLength: 1 }) }),
  }),
);

const uploadTokenRequests: ResourceRef = {
  group: 'upload.cdi.kubevirt.io',
  version: 'v1beta1',
  plural: 'uploadtokenrequests',
  kind: 'UploadTokenRequest',
  namespaced: true,
};

export function registerUploadTokens(app: FastifyInstance, context: ApiContext): void {
  const path = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/:namespace/uploadtokenrequests';
  const mayCreate = allowedBy((request) => {
    requireAllowed(request, 'create', {
      resource: uploadTokenRequests,
      namespace: paramOf(request, 'namespace') ?? '',
    });
  });
  app.post(path, mayCreate, async (request, reply) => {
    const namespace = paramOf(request, 'namespace') ?? '';
    if (!UploadTokenRequest.Check(request.body)) throw badRequest('spec.pvcName is required');
    const { metadata = {}, spec } = request.body;
    const claim = await context.store.get(resources.claims, { namespace, name: spec.pvcName });
    const uid = claim?.metadata.uid;
    if (uid === undefined) {
      const details = { name: spec.pvcName, kind: 'persistentvolumeclaims', group: '' };
      throw new Refusal('NotFound', `persistentvolumeclaims "${spec.pvcName}" not found`, details);
    }
    if (claim?.metadata.deletionTimestamp !== undefined) {
      throw new Fault('Conflict', `persistentvolumeclaims "${spec.pvcName}" is being deleted`);
    }
    const now = new Date();
    const expiresAt = timestamp(new Date(now.getTime() + context.tokenLifetimeSeconds * 1_000));
    const token = await context.tokens.issue({ namespace, name: spec.pvcName, uid }, now);
    return reply.header('x-content-type-options', 'nosniff').send({
      kind: 'UploadTokenRequest',
      apiVersion: 'upload.cdi.kubevirt.io/v1beta1',
      metadata: { ...metadata, namespace, creationTimestamp: timestamp(now) },
      spec,
      status: { token, longshore: { expiresAt } },
    });
  });
}
