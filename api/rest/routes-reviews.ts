// Questions that a client asks about itself: may I, what may I, who am I (kubectl auth can-i, can-i --list, whoami); and an administrator about others.
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { type Identity, isAllowed, rulesFor } from '../authorizer.ts';
import type { Users } from '../users.ts';
import { allowedBy, identityOf, requireAllowed } from './api-request.ts';
import { badRequest } from './kube-status.ts';

const text = Type.Optional(Type.String());

const AccessSpec = Type.Object({
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
});

const AccessReview = Compile(Type.Object({ spec: AccessSpec }));

const SubjectReview = Compile(
  Type.Object({ spec: Type.Intersect([AccessSpec, Type.Object({ user: Type.String({ minLength: 1 }) })]) }),
);

const subjectAccessReviews = {
  ...{ group: 'authorization.k8s.io', version: 'v1', plural: 'subjectaccessreviews' },
  ...{ kind: 'SubjectAccessReview', namespaced: false },
};

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

/** What kube-apiserver answers to both kinds. @param identity undefined: nobody we know */
function answerTo(kind: string, spec: Static<typeof AccessSpec>, identity: Identity | undefined): object {
  const { resourceAttributes, nonResourceAttributes } = spec;
  const { verb = '*', group = '', resource = '*', subresource, namespace, name } = resourceAttributes ?? {};
  const optional = {
    ...(subresource ? { subresource } : {}),
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {}),
  };
  const allowed =
    resourceAttributes === undefined
      ? nonResourceAttributes?.verb === 'get' && isOpenPath(nonResourceAttributes.path ?? '')
      : identity !== undefined && isAllowed(identity, { verb, group, resource, ...optional });
  const reason = allowed && identity !== undefined ? { reason: `role of user "${identity.name}"` } : {};
  return {
    kind,
    apiVersion: 'authorization.k8s.io/v1',
    metadata: { creationTimestamp: null },
    spec,
    status: { allowed, ...reason },
  };
}

function registerAccessReviews(app: FastifyInstance, users: Users): void {
  app.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', (request, reply) => {
    const identity = identityOf(request);
    if (!AccessReview.Check(request.body)) throw badRequest('the body of the request is no SelfSubjectAccessReview');
    return reply.code(201).send(answerTo('SelfSubjectAccessReview', request.body.spec, identity));
  });
  app.post(
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    allowedBy((request) => requireAllowed(request, 'create', { resource: subjectAccessReviews })),
    (request, reply) => {
      if (!SubjectReview.Check(request.body)) throw badRequest('the body of the request is no SubjectAccessReview');
      const { spec } = request.body;
      return reply.code(201).send(answerTo('SubjectAccessReview', spec, users.named(spec.user)));
    },
  );
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

export function registerReviews(app: FastifyInstance, users: Users): void {
  registerAccessReviews(app, users);
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
