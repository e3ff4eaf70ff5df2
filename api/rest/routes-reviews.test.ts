// `kubectl auth can-i`: what is answered is what then happens.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiUnderTest } from '../../test/kubectl/running-api.ts';

let under: ApiUnderTest;
let editor: string;
beforeAll(async () => {
  under = await ApiUnderTest.start();
  editor = await under.user('eve', 'edit', ['default']);
});
afterAll(() => under.close());

const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
const cdi = { group: 'cdi.kubevirt.io', resource: 'datavolumes' };

test.each<[string, object, boolean]>([
  ['update datavolumes', { verb: 'update', ...cdi }, true],
  ['update datavolumes/status', { verb: 'update', ...cdi, subresource: 'status' }, false],
  ['get datavolumes/status', { verb: 'get', ...cdi, subresource: 'status' }, true],
  ['create datavolumes/source', { verb: 'create', ...cdi, subresource: 'source' }, true],
  ['get datavolumes/digest', { verb: 'get', ...cdi, group: 'longshore.dev', subresource: 'digest' }, true],
  ['get datavolumes/nothing', { verb: 'get', ...cdi, subresource: 'nothing' }, false],
  [
    'patch persistentvolumeclaims/status',
    { verb: 'patch', resource: 'persistentvolumeclaims', subresource: 'status' },
    false,
  ],
])('an edit user may %s in its namespace only: %s', async (_what, attributes, isAllowed) => {
  const ask = async (token: string, namespace: string) => {
    const spec = { resourceAttributes: { namespace, ...attributes } };
    const kind = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' };
    const { status, body } = await under.ask({ method: 'POST', path: reviews, token, body: { ...kind, spec } });
    expect([status, body]).toMatchObject([201, { ...kind, spec }]);
    return body;
  };
  expect(await ask(editor, 'default')).toMatchObject({ status: { allowed: isAllowed } });
  expect(await ask(editor, 'longshore')).toMatchObject({ status: { allowed: false } });
  expect(await ask(under.adminToken, 'longshore')).toMatchObject({ status: { allowed: true } });
});

test('an administrator asks about others, and nobody else does', async () => {
  const ask = (token: string, user: string, namespace: string) => {
    const spec = { user, resourceAttributes: { namespace, verb: 'create', ...cdi, subresource: 'source' } };
    const kind = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview' };
    const path = reviews.replace('selfsubject', 'subject');
    return under.ask({ method: 'POST', path, token, body: { ...kind, spec } });
  };
  expect(await ask(under.adminToken, 'eve', 'default')).toMatchObject({
    status: 201,
    body: { status: { allowed: true } },
  });
  for (const [user, namespace] of [
    ['eve', 'longshore'],
    ['nobody', 'default'],
  ] as const) {
    expect((await ask(under.adminToken, user, namespace)).body).toMatchObject({ status: { allowed: false } });
  }
  expect((await ask(editor, 'eve', 'default')).status).toBe(403);
  expect((await ask(under.adminToken, '', 'default')).status).toBe(400);
});
