// Questions that a client asks about itself: may I, what may I, who am I (kubectl auth can-i, can-i --list, whoami).
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { isAllowed, rulesFor } from '../authorizer.ts';
import { identityOf } from './api-request.ts';
import { badRequest } from './kube-status.ts';

const text = Type.Optional(Type.String());

const AccessReview = Compile(
  Type.Object({
    spec: Type.Object({
      resourceAttributes: Type.Optional(
        Type.Object({
          namespace: text,
          verb: text,
          group: text,
          version: text,
          resource: text,
          subresource: text,
          name: text,
        }),
      ),
      nonResourceAttributes: Type.Optional(Type.Object({ path: text, verb: text })),
    }),
  }),
);

const RulesReview = Compile(Type.Object({ spec: Type.Object({ namespace: text }) }));

/** Paths that are no resources and that every user may read. */
const openPaths = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/healthz',
  '/livez',
  '/openapi',
  '/openapi/*',
  '/readyz',
  '/version',
];

function isOpenPath(path: string): boolean {
  return openPaths.some((open) => (open.endsWith('*') ? path.startsWith(open.slice(0, -1)) : path === open));
}

function registerAccessReview(app: FastifyInstance): void {
  app.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', (request, reply) => {
    const identity = identityOf(request);
    if (!AccessReview.Check(request.body)) throw badRequest('the body of the request is no SelfSubjectAccessReview');
    const { resourceAttributes, nonResourceAttributes } = request.body.spec;
    const { verb = '*', group = '', resource = '*', subresource, namespace, name } = resourceAttributes ?? {};
    const optional = {
      ...(subresource ? { subresource } : {}),
      ...(namespace ? { namespace } : {}),
      ...(name ? { name } : {}),
    };
    const allowed =
      resourceAttributes === undefined
        ? nonResourceAttributes?.verb === 'get' && isOpenPath(nonResourceAttributes.path ?? '')
        : isAllowed(identity, { verb, group, resource, ...optional });
    const status = { allowed, ...(allowed ? { reason: `role of user "${identity.name}"` } : {}) };
    return reply.code(201).send({
      kind: 'SelfSubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      metadata: { creationTimestamp: null },
      spec: request.body.spec,
      status,
    });
  });
}

function registerRulesReview(app: FastifyInstance): void {
  app.post('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', (request, reply) => {
    const identity = identityOf(request);
    if (!RulesReview.Check(request.body)) throw badRequest('the body of the request is no SelfSubjectRulesReview');
    const { spec } = request.body;
    const resourceRules = rulesFor(identity, spec.namespace ?? '').map(({ verbs, groups, resources }) => ({
      verbs,
      apiGroups: groups,
      resources,
    }));
    return reply.code(201).send({
      kind: 'SelfSubjectRulesReview',
      apiVersion: 'authorization.k8s.io/v1',
      metadata: { creationTimestamp: null },
      spec: {},
      status: { resourceRules, nonResourceRules: [{ verbs: ['get'], nonResourceURLs: openPaths }], incomplete: false },
    });
  });
}

export function registerReviews(app: FastifyInstance): void {
  registerAccessReview(app);
  registerRulesReview(app);
  app.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', (request, reply) => {
    const { name, uid, groups } = identityOf(request);
    return reply.code(201).send({
      kind: 'SelfSubjectReview',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { creationTimestamp: null },
      status: { userInfo: { username: name, ...(uid === undefined ? {} : { uid }), groups } },
    });
  });
}
