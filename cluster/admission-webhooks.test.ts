// Reviews as kube-apiserver sends them, answered with the rules of one machine.
import { describe, expect, test } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import type { KubeObject } from '../domain/object-store.ts';
import { byChannel } from '../domain/provisioning.ts';
import { answerReview } from './admission-review.ts';
import { type AdmissionTools, webhooks } from './admission-webhooks.ts';

type Reader = AdmissionTools['reader'];

const nothingThere: Reader = { get: async () => undefined, list: async () => ({ items: [], resourceVersion: '1' }) };
const blank = { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } };
const clone = { ...blank, source: { pvc: { namespace: 'golden', name: 'image' } } };

/** kube-apiserver as far as it is asked: grants the rights that are listed. */
const granting = (...rights: string[]) => ({
  json: async ({ body }: { body?: unknown }): Promise<KubeObject> => {
    // Safe: the only request is a SubjectAccessReview.
    const asked = (body as { spec: { user: string; resourceAttributes: Record<string, string> } }).spec;
    const { resource, subresource, namespace } = asked.resourceAttributes;
    const right = `${asked.user} ${namespace} ${[resource, subresource].filter(Boolean).join('/')}`;
    const status = { allowed: rights.includes(right) };
    return { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', metadata: { name: '' }, status };
  },
});

interface Answer {
  response: {
    uid: string;
    allowed: boolean;
    status?: { code: number; message: string; details?: { causes: { field: string }[] } };
    patch?: string;
  };
}

async function answerTo(
  path: string,
  request: object,
  client = granting(),
  reader: Reader = nothingThere,
  controllerUser = 'system:serviceaccount:cdi:longshore-controller',
): Promise<Answer['response']> {
  const decide = webhooks[path];
  if (decide === undefined) throw new Error(`no webhook ${path}`);
  const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
  const tools = { reader, client, provisioning: byChannel, controllerUser };
  // Safe: this is the shape that the function documents.
  return ((await answerReview((asked) => decide(asked, tools), body)) as Answer).response;
}

async function review(
  path: string,
  {
    spec,
    told,
    former,
    client,
    reader,
    controllerUser,
  }: {
    spec: object;
    told?: object;
    former?: object;
    client?: ReturnType<typeof granting>;
    reader?: Reader;
    controllerUser?: string;
  },
): Promise<Answer['response']> {
  const objectOf = (given: object, notes: object | undefined) => ({
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', spec: given },
    metadata: { name: 'disk', namespace: 'vms', ...(notes === undefined ? {} : { annotations: notes }) },
  });
  return answerTo(
    path,
    {
      ...{ uid: 'u1', operation: former === undefined ? 'CREATE' : 'UPDATE', namespace: 'vms' },
      userInfo: { username: 'jane', groups: ['people'] },
      object: objectOf(spec, told),
      oldObject: former === undefined ? null : objectOf(spec, former),
    },
    client,
    reader,
    controllerUser,
  );
}

const patchOf = (patch: string | undefined): unknown =>
  patch === undefined ? undefined : JSON.parse(Buffer.from(patch, 'base64').toString('utf8'));

test('a good DataVolume passes, a bad one is refused with CDI’s cause', async () => {
  expect(await review('/datavolume-validate', { spec: blank })).toEqual({ uid: 'u1', allowed: true });
  const refused = await review('/datavolume-validate', { spec: { source: { blank: {} } } });
  expect(refused).toMatchObject({ allowed: false, status: { code: 422, message: ' Missing Data volume PVC' } });
});

test('a clone from another namespace is refused without the right, and names its requester with it', async () => {
  const refused = await review('/datavolume-mutate', { spec: clone });
  expect(refused.status?.message).toContain('User jane has insufficient permissions in clone source namespace golden');
  const client = granting('jane golden datavolumes/source');
  const allowed = await review('/datavolume-mutate', { spec: clone, client });
  expect(patchOf(allowed.patch)).toEqual([
    { op: 'add', path: '/metadata/annotations', value: { [annotations.requester]: 'jane' } },
  ]);
});

test('nobody names a requester themselves', async () => {
  const forged = await review('/datavolume-mutate', { spec: blank, told: { [annotations.requester]: 'root' } });
  expect(patchOf(forged.patch)).toEqual([{ op: 'remove', path: '/metadata/annotations' }]);
  const kept = await review('/datavolume-mutate', {
    ...{ spec: clone, told: { [annotations.requester]: 'root' }, former: { [annotations.requester]: 'jane' } },
  });
  expect(patchOf(kept.patch)).toEqual([
    { op: 'add', path: '/metadata/annotations', value: { [annotations.requester]: 'jane' } },
  ]);
});

describe('a DataVolume of a DataSource', () => {
  const source = { pvc: { namespace: 'golden', name: 'image' } };
  const dataSource = {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataSource' },
    ...{ metadata: { namespace: 'vms', name: 'newest' }, spec: { source } },
  };
  // Safe: only DataSources are asked for.
  const reader = { ...nothingThere, get: async () => dataSource as never };
  const spec = { sourceRef: { kind: 'DataSource', name: 'newest' }, storage: {} };
  const path = '/datavolume-mutate';

  test('needs the right to clone from where that points, and keeps what that was', async () => {
    const refused = await review(path, { spec, reader });
    expect(refused.status?.message).toContain('insufficient permissions in clone source namespace golden');
    const allowed = await review(path, { spec, reader, client: granting('jane golden datavolumes/source') });
    const value = { [annotations.requester]: 'jane', [annotations.cloneSource]: 'pvc/golden/image' };
    expect(patchOf(allowed.patch)).toEqual([{ op: 'add', path: '/metadata/annotations', value }]);
  });

  test('keeps both, whatever a change says', async () => {
    const former = { [annotations.requester]: 'jane', [annotations.cloneSource]: 'pvc/golden/image' };
    const told = { ...former, [annotations.cloneSource]: 'pvc/secrets/image' };
    const changed = await review(path, { spec, told, former });
    expect(patchOf(changed.patch)).toEqual([{ op: 'add', path: '/metadata/annotations', value: former }]);
  });

  test('is refused where there is none', async () => {
    const refused = await review(path, { spec });
    expect(refused.status?.message).toBe(' SourceRef DataSource/vms/newest not found');
  });
});

describe('a DataImportCron', () => {
  const http = { http: { url: 'https://example.com/disk.raw' } };
  const foreign = { pvc: { namespace: 'golden', name: 'image' } };
  const specOf = (source: object, schedule = '0 * * * *') => ({
    template: { metadata: { creationTimestamp: null }, spec: { ...blank, source }, status: {} },
    ...{ schedule, managedDataSource: 'newest' },
  });

  test('passes where it is good, and is refused with CDI’s causes where it is not', async () => {
    const path = '/dataimportcron-validate';
    expect(await review(path, { spec: specOf(http) })).toEqual({ uid: 'u1', allowed: true });
    const refused = await review(path, { spec: specOf(http, 'whenever') });
    expect(refused).toMatchObject({ allowed: false, status: { code: 422, message: ' Illegal cron schedule' } });
    expect(await review(path, { spec: { schedule: '' } })).toMatchObject({ allowed: false, status: { code: 400 } });
    expect(await review(path, { spec: specOf(http), former: {} })).toEqual({ uid: 'u1', allowed: true });
  });

  test('of a claim elsewhere needs the right to clone from there, and names who asked', async () => {
    const path = '/dataimportcron-mutate';
    const refused = await review(path, { spec: specOf(foreign) });
    expect(refused.status?.message).toContain('insufficient permissions in clone source namespace golden');
    const client = granting('jane golden datavolumes/source');
    const allowed = await review(path, { spec: specOf(foreign), client, told: { [annotations.requester]: 'root' } });
    const value = { [annotations.requester]: 'jane' };
    expect(patchOf(allowed.patch)).toEqual([{ op: 'add', path: '/metadata/annotations', value }]);
    const forged = await review(path, { spec: specOf(http), told: { [annotations.requester]: 'root' } });
    expect(patchOf(forged.patch)).toEqual([{ op: 'remove', path: '/metadata/annotations' }]);
    const kept = await review(path, { spec: specOf(foreign), told: {}, former: value });
    expect(patchOf(kept.patch)).toEqual([{ op: 'add', path: '/metadata/annotations', value }]);
  });

  test('has its DataVolumes made by the controller in the name of who asked', async () => {
    const told = { [annotations.requester]: 'anna' };
    const asked = { spec: clone, told };
    expect(await review('/datavolume-mutate', { ...asked, controllerUser: 'jane' })).toEqual({
      uid: 'u1',
      allowed: true,
    });
    expect(await review('/datavolume-mutate', { ...asked, controllerUser: 'somebody' })).toMatchObject({
      allowed: false,
    });
  });
});

test('what cannot be looked up is refused', async () => {
  const client = { json: async () => Promise.reject(new Error('the API is away')) };
  const answer = await review('/datavolume-mutate', { spec: clone, client });
  expect(answer).toMatchObject({ allowed: false, status: { code: 400 } });
});

test('what is no claim is refused', async () => {
  const request = { uid: 'u1', operation: 'CREATE', userInfo: {}, object: { spec: { accessModes: 'all' } } };
  const answer = await answerTo('/pvc-mutate', request);
  expect(answer).toMatchObject({ uid: 'u1', allowed: false, status: { code: 400 } });
});
