// What kube-apiserver asks of our API, asked by a real one: upload tokens behind its aggregation layer, and the webhooks of DataVolumes. And what others ask,
// who claim to be kube-apiserver.
import { type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import { CertificateAuthority } from '../../runtime/certificates.ts';
import { UploadTokens } from '../../runtime/upload-tokens.ts';
import { ClusterApiFixture } from './cluster-api-fixture.ts';
import { frontProxyName } from './credentials.ts';
import type { Answer } from './run-program.ts';

const waiting = { timeout: 30_000, interval: 100 };
const namespace = 'images';
const tokensPath = `/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/${namespace}/uploadtokenrequests`;

let fixture: ClusterApiFixture;
/** Of the claim `disk`. */
let uid: string;

const tokenRequest = (pvcName: string) => ({
  ...{ apiVersion: 'upload.cdi.kubevirt.io/v1beta1', kind: 'UploadTokenRequest' },
  ...{ metadata: { namespace, generateName: 'token-' }, spec: { pvcName } },
});

/** Creates it as that user, whom kube-apiserver takes as authenticated. */
function create(object: object, user: readonly string[] = [], ...more: string[]): Promise<Answer> {
  return fixture.kubectl.answer(['create', '-f', '-', ...user, ...more], JSON.stringify(object));
}

beforeAll(async () => {
  fixture = await ClusterApiFixture.start();
  const { kubectl } = fixture;
  for (const name of [namespace, 'golden']) await kubectl.out(['create', 'namespace', name]);
  for (const [role, user] of [
    ['cdi.kubevirt.io:edit', '--user=ada'],
    ['cdi.kubevirt.io:edit', '--user=bob'],
    ['cdi.kubevirt.io:edit', '--user=żółw'],
    ['cdi.kubevirt.io:view', '--user=vic'],
    ['cdi.kubevirt.io:edit', '--group=editors'],
    ['cdi.kubevirt.io:edit', '--group=red, green'],
  ] as const) {
    const name = user.replaceAll(/[^a-z]/g, '-').replaceAll(/^-+|-+$/g, '');
    await kubectl.out(['create', 'rolebinding', name, '-n', namespace, `--clusterrole=${role}`, user]);
  }
  const claim = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { namespace, name: 'disk' } },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };
  await kubectl.out(['create', '-f', '-'], JSON.stringify(claim));
  uid = await kubectl.out(['get', 'pvc', 'disk', '-n', namespace, '-o', 'jsonpath={.metadata.uid}']);
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

describe('kubectl', () => {
  test('finds UploadTokenRequests by their short name', async () => {
    const resources = await fixture.kubectl.out([
      'api-resources',
      '--api-group=upload.cdi.kubevirt.io',
      '--no-headers',
    ]);
    expect(resources.trim().split(/ +/)).toEqual([
      ...['uploadtokenrequests', 'utr,utrs', 'upload.cdi.kubevirt.io/v1beta1', 'true', 'UploadTokenRequest'],
    ]);
  });

  test.for<[string, string[]]>([
    ['an editor', ['--as=ada']],
    ['an editor whose name is not of ASCII', ['--as=żółw']],
    ['one of a group', ['--as=eve', '--as-group=editors']],
    ['one of a group whose name has a comma', ['--as=eve', '--as-group=red, green']],
    ['an administrator', []],
  ])('gets a token for %s', async ([, user]) => {
    const { code, out, err } = await create(tokenRequest('disk'), user, '-o', 'jsonpath={.status.token}');
    expect([code, err]).toEqual([0, '']);
    const verifier = await UploadTokens.openVerifier(fixture.directories.controller);
    expect(await verifier.verify(out)).toMatchObject({ operation: 'Upload', namespace, name: 'disk', params: { uid } });
  });

  test.for<[string, string, string]>([
    ['eve', 'disk', 'is forbidden: User "eve" cannot create'],
    ['vic', 'disk', 'is forbidden: User "vic" cannot create'],
    ['ada', 'none', '(NotFound): error when creating "STDIN": persistentvolumeclaims "none" not found'],
    ['ada', '', '(BadRequest): error when creating "STDIN": spec.pvcName is required'],
  ])('gets none for %s and the claim `%s`', async ([user, name, sentence]) => {
    const { code, out, err } = await create(tokenRequest(name), [`--as=${user}`]);
    expect([code, out, err]).toEqual([1, '', expect.stringContaining(sentence)]);
  });
});

interface Direct {
  status: number | undefined;
  body: string;
}

/** Past kube-apiserver. */
async function direct(options: RequestOptions & { body?: object }): Promise<Direct> {
  const { promise, resolve, reject } = Promise.withResolvers<Direct>();
  const { body = tokenRequest('disk'), headers, ...more } = options;
  const asked = request({
    // A connection of its own: an older one is what it was.
    ...{
      agent: false,
      host: '127.0.0.1',
      port: fixture.port,
      method: 'POST',
      path: tokensPath,
      rejectUnauthorized: false,
    },
    ...{ headers: { 'content-type': 'application/json', ...headers }, ...more },
  });
  asked.once('error', reject);
  asked.once('response', async (response) => resolve({ status: response.statusCode, body: await text(response) }));
  asked.end(JSON.stringify(body));
  return promise;
}

test('Everybody may ask whether the API is well', async () => {
  expect(await direct({ method: 'GET', path: '/healthz' })).toEqual({ status: 200, body: 'OK' });
});

describe('who says to be kube-apiserver', () => {
  const asAda = { 'x-remote-user': 'ada' };
  const unknown: Direct = { status: 401, body: 'request is not authenticated' };

  test('is not believed without a certificate', async () => {
    expect(await direct({ headers: asAda })).toEqual(unknown);
    const asMaster = { 'x-remote-user': 'root', 'x-remote-group': 'system:masters' };
    expect(await direct({ headers: asMaster })).toEqual(unknown);
    expect(await direct({ headers: { ...asAda, authorization: `Bearer ${fixture.plane.token}` } })).toEqual(unknown);
  });

  test('is not believed with a certificate of ours, whatever its name', async () => {
    const ours = await CertificateAuthority.openOrCreate(fixture.directories.controller);
    expect(await direct({ headers: asAda, ...(await fixture.frontProxyPair(ours)) })).toEqual(unknown);
  });

  test('is not believed by another name than that of the front proxy', async () => {
    const authority = await fixture.frontProxyAuthority();
    expect(await direct({ headers: asAda, ...(await fixture.frontProxyPair(authority, 'somebody')) })).toEqual(unknown);
  });

  test('is believed with the certificate of the front proxy, as far as the user reaches that it names', async () => {
    const pair = await fixture.frontProxyPair(await fixture.frontProxyAuthority());
    expect(await direct({ headers: asAda, ...pair })).toMatchObject({ status: 200 });
    expect(await direct({ ...pair })).toEqual(unknown);
    expect(await direct({ headers: { 'x-remote-user': 'vic' }, ...pair })).toEqual({
      ...{ status: 401, body: 'User vic may not upload there' },
    });
    const inGroups = (...groups: string[]) => ({ 'x-remote-user': 'eve', 'x-remote-group': groups });
    expect(await direct({ headers: inGroups('others', 'editors'), ...pair })).toMatchObject({ status: 200 });
    expect(await direct({ headers: inGroups('others'), ...pair })).toMatchObject({ status: 401 });
  });

  test('names one user and one group a header, also where a comma is in it', async () => {
    const pair = await fixture.frontProxyPair(await fixture.frontProxyAuthority());
    const master = { 'x-remote-user': 'eve', 'x-remote-group': 'others, system:masters' };
    expect(await direct({ headers: master, ...pair })).toMatchObject({ status: 401 });
    expect(await direct({ headers: { 'x-remote-user': 'ada, of others' }, ...pair })).toEqual({
      ...{ status: 401, body: 'User ada, of others may not upload there' },
    });
  });
});

const dataVolume = (name: string, source: object = { blank: {} }, notes: Record<string, string> = {}) => ({
  ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' },
  metadata: { namespace, name, annotations: notes },
  spec: { source, storage: { resources: { requests: { storage: '1Gi' } } } },
});
const requesterOf = async (name: string): Promise<unknown> => {
  const { metadata } = (await fixture.kubectl.get('dv', name, '-n', namespace)) as {
    metadata: { annotations?: Record<string, string> };
  };
  return metadata.annotations?.[annotations.requester];
};

describe('the webhooks', () => {
  test('let a DataVolume in that is right, and refuse one that is not in the words of CDI', async () => {
    expect(await create(dataVolume('right'), ['--as=ada'])).toMatchObject({ code: 0, err: '' });
    const { code, err } = await create(dataVolume('wrong', { http: { url: 'nonsense' } }), ['--as=ada']);
    const sentence = 'spec.source.HTTP.url: spec.source Invalid source URL: nonsense';
    expect([code, err]).toEqual([1, `The request is invalid: ${sentence}\n`]);
  });

  test('refuse a name that a claim has, and a spec that changes', async () => {
    const taken = await create(dataVolume('disk'), ['--as=ada']);
    expect(taken).toMatchObject({
      code: 1,
      err: expect.stringContaining('Destination PVC images/disk already exists'),
    });
    const patch = ['--type=merge', '-p', JSON.stringify({ spec: { preallocation: true } })];
    const changed = await fixture.kubectl.answer(['patch', 'dv', 'right', '-n', namespace, '--as=ada', ...patch]);
    expect(changed).toMatchObject({ code: 1, err: expect.stringContaining('Cannot update DataVolume Spec') });
    const labelled = await fixture.kubectl.answer(['label', 'dv', 'right', '-n', namespace, '--as=ada', 'a=b']);
    expect(labelled).toMatchObject({ code: 0 });
  });

  const clone = { pvc: { namespace: 'golden', name: 'image' } };

  test('refuse the clone of who may not read its source, and keep on the object who it was that may', async () => {
    const refused = await create(dataVolume('stolen', clone), ['--as=ada']);
    const sentence = 'User ada has insufficient permissions in clone source namespace golden';
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining(sentence) });
    const right = ['--clusterrole=cdi.kubevirt.io:clone-sourcer', '--user=ada'];
    await fixture.kubectl.out(['create', 'rolebinding', 'ada-clones', '-n', 'golden', ...right]);
    await vi.waitFor(async () => {
      expect(await create(dataVolume('cloned', clone), ['--as=ada'])).toMatchObject({ code: 0, err: '' });
    }, waiting);
    expect(await requesterOf('cloned')).toBe('ada');
    expect(await create(dataVolume('still-stolen', clone), ['--as=bob'])).toMatchObject({ code: 1 });
  });

  test('let nobody write who asked', async () => {
    const forged = { [annotations.requester]: 'root' };
    expect(await create(dataVolume('forged', { blank: {} }, forged), ['--as=bob'])).toMatchObject({ code: 0 });
    expect(await requesterOf('forged')).toBeUndefined();
    const note = `${annotations.requester}=bob`;
    await fixture.kubectl.out(['annotate', 'dv', 'cloned', '-n', namespace, '--as=bob', '--overwrite', note]);
    expect(await requesterOf('cloned')).toBe('ada');
  });
});

describe('certificates that change', () => {
  const shown = async (): Promise<string> => {
    const socket = connect({ host: '127.0.0.1', port: fixture.port, rejectUnauthorized: false });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    socket.once('error', reject);
    socket.once('secureConnect', () => resolve(socket.getPeerCertificate().serialNumber));
    return promise.finally(() => socket.destroy());
  };

  test('are taken without a pause: a webhook is answered before and after', async () => {
    const before = await shown();
    await fixture.keepPkiWithAnotherName('cdi-api.example.org');
    let count = 0;
    await vi.waitFor(async () => {
      count += 1;
      const { err } = await create(dataVolume(`renewed-${count}`), ['--as=ada']);
      expect(err).toBe('');
      expect(await shown()).not.toBe(before);
    }, waiting);
    expect(await create(dataVolume('renewed'), ['--as=ada'])).toMatchObject({ code: 0, err: '' });
    expect(await create(tokenRequest('disk'), ['--as=ada'])).toMatchObject({ code: 0, err: '' });
  });

  test('of the front proxy are believed when the cluster says so', async () => {
    const next = await CertificateAuthority.openOrCreate(`${fixture.directories.controller}-next`);
    const asked = { headers: { 'x-remote-user': 'ada' }, ...(await fixture.frontProxyPair(next, frontProxyName)) };
    expect(await direct(asked)).toMatchObject({ status: 401 });
    const map = (await fixture.kubectl.get('cm', 'extension-apiserver-authentication', '-n', 'kube-system')) as {
      data: Record<string, string>;
    };
    const ca = `${map.data['requestheader-client-ca-file']}${next.certificate}`;
    const data = { 'requestheader-client-ca-file': ca };
    const patch = ['--type=merge', '-p', JSON.stringify({ data })];
    await fixture.kubectl.out(['patch', 'cm', 'extension-apiserver-authentication', '-n', 'kube-system', ...patch]);
    await vi.waitFor(async () => expect(await direct(asked)).toMatchObject({ status: 200 }), waiting);
  });
});

test('Without the API no DataVolume is let in unseen', async () => {
  await fixture.stopApi();
  const { code, err } = await create(dataVolume('unseen'), ['--as=ada']);
  expect([code, err]).toEqual([1, expect.stringContaining('failed calling webhook')]);
});
