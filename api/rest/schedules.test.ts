// DataSources and DataImportCrons over real HTTPS with users of each role: what is taken, and whose rights decide about clones that go through them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { KubeObject, ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { type Answer, ApiUnderTest, dataVolume, dataVolumesPath } from '../../test/kubectl/running-api.ts';

const apiVersion = 'cdi.kubevirt.io/v1beta1';
const storage = { resources: { requests: { storage: '1Gi' } } };
let under: ApiUnderTest;
let editor: string;
let viewer: string;

beforeAll(async () => {
  under = await ApiUnderTest.start();
  editor = await under.user('ed', 'edit', ['default']);
  viewer = await under.user('vi', 'view', ['default']);
  for (const namespace of ['default', 'longshore']) {
    const spec = { source: { pvc: { namespace, name: 'golden' } } };
    const body = { apiVersion, kind: 'DataSource', metadata: { name: 'golden' }, spec };
    expect((await under.ask({ method: 'POST', path: pathOf('datasources', namespace), body })).status).toBe(201);
  }
});
afterAll(() => under.close());

function pathOf(plural: string, namespace = 'default'): string {
  return `/apis/${apiVersion}/namespaces/${namespace}/${plural}`;
}

function cron(name: string, source: object, spec: object = {}) {
  const template = { spec: { source, storage } };
  const whole = { template, schedule: '0 * * * *', managedDataSource: name, ...spec };
  return { apiVersion, kind: 'DataImportCron', metadata: { name }, spec: whole };
}

function post(plural: string, body: unknown, token = editor): Promise<Answer> {
  return under.ask({ method: 'POST', path: pathOf(plural), token, body });
}

async function notesOf<T extends KubeObject>(resource: ResourceRef<T>, name: string) {
  return (await under.store.get(resource, { namespace: 'default', name }))?.metadata.annotations;
}

const http = { http: { url: 'https://example.com/disk.qcow2' } };

describe('a DataImportCron', () => {
  test('is made by who may edit, and read by who may view, by its short name too', async () => {
    expect((await post('dataimportcrons', cron('fedora', http))).status).toBe(201);
    expect((await post('dataimportcrons', cron('other', http), viewer)).status).toBe(403);
    const read = await under.ask({ path: `${pathOf('dataimportcrons')}/fedora`, token: viewer });
    expect(read.body).toMatchObject({ spec: { managedDataSource: 'fedora' } });
    const { body } = await under.ask({ path: `/apis/${apiVersion}` });
    expect(body).toMatchObject({
      resources: expect.arrayContaining([
        expect.objectContaining({ name: 'dataimportcrons', shortNames: ['dic', 'dics'] }),
        expect.objectContaining({ name: 'datasources', shortNames: ['das'] }),
      ]),
    });
  });

  test('is refused in CDI’s words, and so is a change of what it wants', async () => {
    const refused = await post('dataimportcrons', cron('bad', http, { schedule: 'whenever' }));
    expect([refused.status, refused.body]).toEqual([
      422,
      expect.objectContaining({
        message: expect.stringContaining('Illegal cron schedule'),
        details: expect.objectContaining({ causes: [expect.objectContaining({ field: 'spec.Schedule' })] }),
      }),
    ]);
    const patch = (body: object) =>
      under.ask({
        ...{ method: 'PATCH', path: `${pathOf('dataimportcrons')}/fedora`, token: editor, body },
        headers: { 'content-type': 'application/merge-patch+json' },
      });
    expect((await patch({ spec: { schedule: '1 * * * *' } })).text).toContain('Cannot update DataImportCron Spec');
    const now = { [annotations.nextCronTime]: '2020-01-01T00:00:00Z', [annotations.requester]: 'root' };
    expect((await patch({ metadata: { annotations: now } })).status).toBe(200);
    expect(await notesOf(resources.dataImportCrons, 'fedora')).toEqual({
      [annotations.nextCronTime]: '2020-01-01T00:00:00Z',
    });
  });

  test('of another namespace’s claim needs the right to clone from there', async () => {
    const source = { pvc: { namespace: 'longshore', name: 'golden' } };
    const refused = await post('dataimportcrons', cron('foreign', source));
    expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('insufficient permissions')]);
    expect((await post('dataimportcrons', cron('foreign', source), under.adminToken)).status).toBe(201);
    expect(await notesOf(resources.dataImportCrons, 'foreign')).toEqual({ [annotations.requester]: 'admin' });
  });
});

describe('a DataVolume of a DataSource', () => {
  const make = (name: string, sourceRef: object, token = editor, notes: object = {}) => {
    const spec = { sourceRef: { kind: 'DataSource', ...sourceRef }, storage: {} };
    const body = dataVolume(name, { metadata: { name, annotations: notes }, spec });
    return under.ask({ method: 'POST', path: dataVolumesPath, token, body });
  };

  test('keeps what that stood for, and who asked', async () => {
    const forged = { [annotations.cloneSource]: 'pvc/longshore/secret', [annotations.requester]: 'root' };
    expect((await make('near', { name: 'golden' }, editor, forged)).status).toBe(201);
    expect(await notesOf(resources.dataVolumes, 'near')).toEqual({
      [annotations.cloneSource]: 'pvc/default/golden',
      [annotations.requester]: 'ed',
    });
  });

  test('keeps it when it is changed, whatever the change says', async () => {
    const patched = await under.ask({
      ...{ method: 'PATCH', path: `${dataVolumesPath}/near`, token: editor },
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { annotations: { [annotations.cloneSource]: 'pvc/longshore/secret' }, labels: { a: 'b' } } },
    });
    expect(patched.status).toBe(200);
    expect(await notesOf(resources.dataVolumes, 'near')).toMatchObject({
      [annotations.cloneSource]: 'pvc/default/golden',
    });
  });

  test('needs the right to clone from where that points, not only from where it is', async () => {
    const refused = await make('far', { namespace: 'longshore', name: 'golden' });
    expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('insufficient permissions')]);
    const spec = { source: { pvc: { namespace: 'longshore', name: 'golden' } } };
    await post('datasources', { apiVersion, kind: 'DataSource', metadata: { name: 'pointer' }, spec });
    expect((await make('around', { name: 'pointer' })).text).toContain('insufficient permissions');
    expect((await make('far', { namespace: 'longshore', name: 'golden' }, under.adminToken)).status).toBe(201);
  });

  test('is refused where there is none', async () => {
    const refused = await make('lost', { name: 'nothing' });
    expect([refused.status, refused.body]).toEqual([
      422,
      expect.objectContaining({ message: expect.stringContaining('SourceRef DataSource/default/nothing not found') }),
    ]);
  });
});
