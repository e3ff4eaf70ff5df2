import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../domain/resources.ts';
import { uploadClientName, workerName } from '../runtime/certificates.ts';
import { ApiUnderTest, claim, claimsPath, dataVolume, dataVolumesPath } from '../test/kubectl/running-api.ts';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start();
});
afterAll(() => under.close());

function names(): string[] {
  return under.store.entries(resources.dataVolumes).map(({ name }) => name);
}

describe('who may come in', () => {
  test('without credentials only version and health are told', async () => {
    for (const path of ['/version', '/healthz', '/livez', '/readyz']) {
      expect((await under.ask({ path, token: null })).status).toBe(200);
    }
    for (const path of [
      '/api',
      '/apis',
      '/openapi/v3',
      dataVolumesPath,
      '/apis/longshore.dev/v1alpha1/doctor',
      '/nothing',
    ]) {
      const { status, body } = await under.ask({ path, token: null });
      expect([path, status, body]).toEqual([path, 401, expect.objectContaining({ reason: 'Unauthorized', code: 401 })]);
    }
  });

  test('a body of nobody is not read, and long YAML that is no JSON is refused at once', async () => {
    const nobody = await under.ask({ method: 'POST', path: '/version', token: null, body: '{' });
    expect(nobody.status).toBe(401);
    const headers = { 'content-type': 'application/apply-patch+yaml' };
    const path = `${claimsPath}/long?fieldManager=test`;
    const long = await under.ask({ method: 'PATCH', path, headers, body: `[${','.repeat(262_144)}` });
    expect(long).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
  });

  test('what a user may not do is refused before the body is parsed', async () => {
    const token = await under.user('valerie', 'view');
    const one = `${claimsPath}/a`;
    const asked: [string, string][] = [
      ['POST', claimsPath],
      ['DELETE', claimsPath],
      ['PUT', one],
      ['PATCH', one],
      ['DELETE', one],
      ['PUT', `${one}/status`],
      ['PATCH', `${one}/status`],
      ['POST', '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/default/uploadtokenrequests'],
      ['POST', '/apis/longshore.dev/v1alpha1/namespaces/default/imageprobes'],
    ];
    for (const [method, path] of asked) {
      const headers = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {};
      const { status } = await under.ask({ method, path, token, headers, body: '{' });
      expect([method, path, status]).toEqual([method, path, 403]);
    }
    expect((await under.ask({ method: 'POST', path: '/nowhere', token, body: '{' })).status).toBe(404);
  });

  test('a wrong token is nobody, also with a right certificate beside it', async () => {
    expect((await under.ask({ path: dataVolumesPath, token: 'longshore-wrong' })).status).toBe(401);
    const certificate = await under.authority.issue({ name: 'w', cn: workerName('n'), hosts: [], usages: ['client'] });
    expect((await under.ask({ path: dataVolumesPath, token: 'longshore-wrong', certificate })).status).toBe(401);
  });

  test('the upload proxy and workers may read claims and data volumes, and nothing else', async () => {
    for (const cn of [uploadClientName, workerName('node-1')]) {
      const certificate = await under.authority.issue({ name: 'client', cn, hosts: [], usages: ['client'] });
      const as = (path: string, method = 'GET', body?: unknown) =>
        under.ask({ path, method, body, token: null, certificate });
      expect((await as(claimsPath)).status).toBe(200);
      expect((await as(dataVolumesPath)).status).toBe(200);
      expect((await as('/api/v1/namespaces/default/secrets')).status).toBe(403);
      expect((await as(claimsPath, 'POST', claim('x'))).status).toBe(403);
    }
  });

  test('a certificate of our CA with a foreign name is nobody', async () => {
    const certificate = await under.authority.issue({ name: 'foreign', cn: 'admin', hosts: [], usages: ['client'] });
    expect((await under.ask({ path: dataVolumesPath, token: null, certificate })).status).toBe(401);
  });
});

describe('users', () => {
  const path = '/apis/longshore.dev/v1alpha1/users';
  const user = (name: string, spec: object) => ({
    apiVersion: 'longshore.dev/v1alpha1',
    kind: 'User',
    metadata: { name },
    spec,
  });

  test('a token is told once, works, is not in the list nor in the file, and is void when the user goes', async () => {
    const made = await under.ask({ method: 'POST', path, body: user('bob', { role: 'view' }) });
    expect(made.status).toBe(201);
    const token = /"token":"([^"]+)"/.exec(made.text)?.[1] ?? '';
    expect((await under.ask({ path: dataVolumesPath, token })).status).toBe(200);
    const listed = await under.ask({ path });
    expect(listed.text).not.toContain(token);
    expect(listed.text).not.toContain('sha256');
    expect((await under.ask({ method: 'DELETE', path: `${path}/bob` })).status).toBe(200);
    expect((await under.ask({ path: dataVolumesPath, token })).status).toBe(401);
    const again = await under.ask({ method: 'POST', path, body: user('bob', { role: 'view' }) });
    expect(again.status).toBe(201);
    expect((await under.ask({ path: dataVolumesPath, token })).status).toBe(401);
  });

  test('a role that does not exist is refused with those that do', async () => {
    const { status, body } = await under.ask({ method: 'POST', path, body: user('eve', { role: 'root' }) });
    expect([status, body]).toEqual([
      422,
      expect.objectContaining({
        message:
          'User.longshore.dev "eve" is invalid: spec.role: Unsupported value: "root": supported values: "admin", "edit", "view"',
      }),
    ]);
  });

  test('only an administrator of everything manages users', async () => {
    const token = await under.user('ada', 'admin', ['default']);
    const refused = await under.ask({ method: 'POST', path, body: user('eve', { role: 'admin' }), token });
    expect([refused.status, refused.body]).toEqual([
      403,
      expect.objectContaining({
        reason: 'Forbidden',
        message:
          'users.longshore.dev is forbidden: User "ada" cannot create resource "users" in API group "longshore.dev" at the cluster scope',
      }),
    ]);
  });

  test('a viewer reads but neither writes nor sees secrets; a role ends at its namespaces', async () => {
    const view = await under.user('vic', 'view');
    expect((await under.ask({ path: '/api/v1/namespaces/default/secrets', token: view })).status).toBe(403);
    expect(
      (await under.ask({ method: 'POST', path: dataVolumesPath, body: dataVolume('v'), token: view })).status,
    ).toBe(403);
    const edit = await under.user('eda', 'edit', ['longshore']);
    expect((await under.ask({ path: dataVolumesPath, token: edit })).status).toBe(403);
    expect((await under.ask({ path: '/apis/cdi.kubevirt.io/v1beta1/datavolumes', token: edit })).status).toBe(403);
    const own = dataVolumesPath.replace('default', 'longshore');
    expect((await under.ask({ method: 'POST', path: own, body: dataVolume('e'), token: edit })).status).toBe(201);
    expect((await under.ask({ method: 'PATCH', path: `${own}/e/status`, body: {}, token: edit })).status).toBe(403);
    for (const plural of ['cdiconfigs', 'storageprofiles']) {
      expect((await under.ask({ path: `/apis/cdi.kubevirt.io/v1beta1/${plural}`, token: edit })).status).toBe(200);
    }
  });
});

describe('upload tokens and operations', () => {
  const path = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/default/uploadtokenrequests';
  const asked = (pvcName: string) => ({ metadata: { generateName: 'token-for-virtctl-' }, spec: { pvcName } });

  test('a token names the claim and its uid, and tells when it ends', async () => {
    await under.ask({ method: 'POST', path: claimsPath, body: claim('up') });
    const { status, text, body } = await under.ask({ method: 'POST', path, body: asked('up') });
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({ kind: 'UploadTokenRequest', spec: { pvcName: 'up' } }),
    ]);
    const claims = await under.tokens.verify(/"token":"([^"]+)"/.exec(text)?.[1] ?? '');
    const uid = under.store.entry(resources.claims, { namespace: 'default', name: 'up' })?.uid;
    expect(claims).toMatchObject({ operation: 'Upload', name: 'up', namespace: 'default', params: { uid } });
    const expiresAt = /"expiresAt":"([^"]+)"/.exec(text)?.[1] ?? '';
    expect(Date.parse(expiresAt) / 1_000).toBe(claims.exp);
  });

  test('there is no token for a claim that is not there, nor for a viewer', async () => {
    expect((await under.ask({ method: 'POST', path, body: asked('nothing') })).status).toBe(404);
    const token = await under.user('vera', 'view');
    expect((await under.ask({ method: 'POST', path, body: asked('up'), token })).status).toBe(403);
  });

  test('the OpenAPI of version 2 is protobuf for who asks for that first, and JSON', async () => {
    const accepting = async (accept: string) => {
      const { status, headers } = await under.ask({ path: '/openapi/v2', headers: { accept } });
      return [status, headers['content-type']];
    };
    const asked = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const protobuf = [200, 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'];
    expect(await accepting(asked)).toEqual(protobuf);
    expect(await accepting(`${asked}, application/json`)).toEqual(protobuf);
    const json = [200, expect.stringMatching(/^application\/json/)];
    expect(await accepting('*/*')).toEqual(json);
    expect(await accepting(`application/json, ${asked}`)).toEqual(json);
    expect((await accepting('application/xml'))[0]).toBe(406);
  });

  test('digest and doctor are asked of the service', async () => {
    const digest = '/apis/longshore.dev/v1alpha1/namespaces/default/datavolumes/a/digest?sha256=true';
    expect((await under.ask({ path: digest })).body).toMatchObject({
      contentDigest: 'tree-sha256:default.a',
      sha256: 'sha256:00',
    });
    expect((await under.ask({ path: '/apis/longshore.dev/v1alpha1/doctor' })).body).toEqual({ findings: [] });
  });
});

describe('clones', () => {
  const cloneOf = (namespace: string, name = 'c', annotations = {}) =>
    dataVolume(name, {
      metadata: { name, annotations },
      spec: { source: { pvc: { namespace, name: 'src' } }, storage: { resources: { requests: { storage: '1Gi' } } } },
    });

  test('who has no right in the namespace of the source is refused in the words of CDI, and nothing is made', async () => {
    const token = await under.user('carl', 'edit', ['default']);
    const { status, body } = await under.ask({
      method: 'POST',
      path: dataVolumesPath,
      body: cloneOf('longshore'),
      token,
    });
    expect([status, body]).toEqual([
      422,
      expect.objectContaining({
        message:
          ' User carl has insufficient permissions in clone source namespace longshore: no right to create datavolumes.cdi.kubevirt.io/source "src" in namespace longshore',
        details: expect.objectContaining({
          causes: [expect.objectContaining({ field: 'spec.source.PVC.namespace' })],
        }),
      }),
    ]);
    expect(names()).not.toContain('c');
  });

  test('who asks is kept, and cannot be made up', async () => {
    const token = await under.user('cora', 'edit', ['default', 'longshore']);
    const forged = { 'longshore.dev/requester': 'admin' };
    const made = await under.ask({
      method: 'POST',
      path: dataVolumesPath,
      body: cloneOf('longshore', 'd', forged),
      token,
    });
    expect(made.body).toMatchObject({ metadata: { annotations: { 'longshore.dev/requester': 'cora' } } });
    const patch = { metadata: { annotations: forged } };
    const headers = { 'content-type': 'application/merge-patch+json' };
    const patched = await under.ask({ method: 'PATCH', path: `${dataVolumesPath}/d`, body: patch, headers, token });
    expect(patched.body).toMatchObject({ metadata: { annotations: { 'longshore.dev/requester': 'cora' } } });
  });

  test('a claim that asks for a clone needs the same right', async () => {
    const token = await under.user('chad', 'edit', ['default']);
    const asking = { ...claim('q'), metadata: { name: 'q', annotations: { 'k8s.io/CloneRequest': 'longshore/src' } } };
    expect((await under.ask({ method: 'POST', path: claimsPath, body: asking, token })).status).toBe(422);
    await under.ask({ method: 'POST', path: claimsPath, body: claim('q'), token });
    const headers = { 'content-type': 'application/merge-patch+json' };
    const body = { metadata: asking.metadata };
    expect((await under.ask({ method: 'PATCH', path: `${claimsPath}/q`, body, headers, token })).status).toBe(422);
  });
});

describe('requests that are too much or wrong', () => {
  test('more than 3 MiB is refused, and text that is no JSON too', async () => {
    const body = JSON.stringify({ ...dataVolume('big'), padding: 'x'.repeat(3 * 1024 * 1024) });
    expect((await under.ask({ method: 'POST', path: dataVolumesPath, body })).status).toBe(413);
    const broken = await under.ask({ method: 'POST', path: dataVolumesPath, body: '{"kind":' });
    expect([broken.status, broken.body]).toEqual([400, expect.objectContaining({ reason: 'BadRequest' })]);
    expect((await under.ask({ method: 'POST', path: dataVolumesPath, body: '[]' })).status).toBe(400);
    const headers = { 'content-type': 'text/plain' };
    expect((await under.ask({ method: 'POST', path: dataVolumesPath, body: 'x', headers })).status).toBe(415);
    expect(names()).not.toContain('big');
  });

  test('names with dots and slashes lead nowhere', async () => {
    for (const name of ['..', '../secrets', 'A', 'a/b', `${'a'.repeat(254)}`]) {
      const { status } = await under.ask({ method: 'POST', path: dataVolumesPath, body: dataVolume(name) });
      expect([name, status]).toEqual([name, 422]);
    }
    expect((await under.ask({ path: `${dataVolumesPath}/..%2f..%2fsecrets` })).status).toBe(404);
  });

  test('members named after prototypes change nothing else', async () => {
    const body = `{"apiVersion":"cdi.kubevirt.io/v1beta1","kind":"DataVolume","metadata":{"name":"proto","annotations":{"__proto__":"x","constructor":"y"}},"__proto__":{"polluted":true},"spec":{"source":{"blank":{}},"storage":{"resources":{"requests":{"storage":"1Gi"}}}}}`;
    await under.ask({ method: 'POST', path: dataVolumesPath, body });
    expect(Object.getOwnPropertyDescriptor(Object.prototype, 'polluted')).toBeUndefined();
    expect((await under.ask({ path: `${dataVolumesPath}/nothing` })).status).toBe(404);
  });
});
