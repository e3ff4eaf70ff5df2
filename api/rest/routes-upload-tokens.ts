// UploadTokenRequest: created, answered with a token, never stored; see runtime/upload-token-request.ts.
import type { FastifyInstance } from 'fastify';
import { toFault } from '../../domain/fault.ts';
import type { ResourceRef } from '../../domain/object-store.ts';
import { answerUploadTokenRequest } from '../../runtime/upload-token-request.ts';
import { allowedBy, paramOf, requireAllowed } from './api-request.ts';
import { Refusal } from './kube-status.ts';
import type { ApiContext } from './request-context.ts';

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
  const { store: reader, tokens, tokenLifetimeSeconds: lifetimeSeconds } = context;
  app.post(path, mayCreate, async (request, reply) => {
    const namespace = paramOf(request, 'namespace') ?? '';
    const answer = await answerUploadTokenRequest({ reader, tokens, lifetimeSeconds }, namespace, request.body).catch(
      (error: unknown) => {
        const fault = toFault(error);
        if (fault.code !== 'NotFound') throw fault;
        // The claim, not the request, is what was not found.
        throw new Refusal('NotFound', fault.detail, { kind: 'persistentvolumeclaims', group: '' });
      },
    );
    return reply.header('x-content-type-options', 'nosniff').send(answer);
  });
}
