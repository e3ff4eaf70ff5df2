import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../domain/resources.ts';
import {
  type Answer,
  ApiUnderTest,
  claim,
  claimsPath,
  dataVolume,
  dataVolumesPath,
} from '../../test/kubectl/running-api.ts';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start();
});
afterAll(() => under.close());

const mapsPath = '/api/v1/namespaces/default/configmaps';
const merge = { 'content-type': 'application/merge-patch+json' };
const strategic = { 'content-type': 'application/strategic-merge-patch+json' };
const apply = { 'content-type': 'application/apply-patch+yaml' };

function map(name: string, data: Record<string, string> = {}, metadata = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

function post(path: string, body: unknown): Promise<Answer> {
  return under.ask({ method: 'POST', path, body });
}

function patch(path: string, headers: Record<string, string>, body: unknown): Promise<Answer> {
  return under.ask({ method: 'PATCH', path, headers, body });
}

/** Lines of a watch as they come. The caller ends it. */
function watch(path: string, token = under.adminToken): { next(): Promise<unknown>; end(): void } {
  const headers = { authorization: `Bearer ${token}` };
  const options = { headers, ca: under.authority.certificate, agent: false };
  let asking: ReturnType<typeof request> | undefined;
  const lines = new Promise<AsyncIterator<string>>((resolve, reject) => {
    asking = request(`${under.api.address}${path}`, options, (response) => {
      resolve(createInterface({ input: response })[Symbol.asyncIterator]());
    });
    asking.on('error', reject);
    asking.end();
  });
  const next = async (): Promise<unknown> => {
    const line = await (await lines).next();
    return line.done === true ? 'end' : JSON.parse(line.value);
  };
  return { next, end: () => asking?.destroy() };
}

describe('writing', () => {
  test('unknown members: Strict refuses, Warn tells and drops, Ignore drops', async () => {
    const body = { ...dataVolume('u'), colour: 'red' };
    const strict = await post(`${dataVolumesPath}?fieldValidation=Strict`, body);
    expect([strict.status, strict.body]).toEqual([
      400,
      expect.objectContaining({
        message:
          'DataVolume in version "v1beta1" cannot be handled as a DataVolume: strict decoding error: unknown field "colour"',
      }),
    ]);
    const warned = await post(`${dataVolumesPath}?fieldValidation=Warn&dryRun=All`, body);
    expect([warned.status, warned.headers['warning']]).toEqual([201, '299 - "unknown field \\"colour\\""']);
    const ignored = await post(`${dataVolumesPath}?fieldValidation=Ignore&dryRun=All`, body);
    expect([ignored.status, ignored.headers['warning'], ignored.text.includes('colour')]).toEqual([
      201,
      undefined,
      false,
    ]);
    expect(under.store.entry(resources.dataVolumes, { namespace: 'default', name: 'u' })).toBeUndefined();
  });

  test('wrong types and missing members are told by their paths', async () => {
    const spec = { source: { http: { url: 7 } }, storage: { resources: { requests: { storage: '1Gi' } } } };
    const { status, body } = await post(dataVolumesPath, dataVolume('w', { spec }));
    expect([status, body]).toEqual([
      422,
      expect.objectContaining({
        message:
          'DataVolume.cdi.kubevirt.io "w" is invalid: spec.source.http.url: Invalid value: "integer": spec.source.http.url in body must be of type string: "integer"',
      }),
    ]);
  });

  test('a dry run answers as if, and changes nothing', async () => {
    await post(mapsPath, map('dry', { a: '1' }));
    const { version } = under.store;
    expect((await post(`${mapsPath}?dryRun=All`, map('dry'))).status).toBe(409);
    expect((await patch(`${mapsPath}/dry?dryRun=All`, merge, { data: { a: '2' } })).body).toMatchObject({
      data: { a: '2' },
    });
    expect((await under.ask({ method: 'DELETE', path: `${mapsPath}/dry?dryRun=All` })).status).toBe(200);
    expect(under.store.version).toBe(version);
  });

  test('a spec of a DataVolume never changes; that of a claim neither grows nor shrinks', async () => {
    await post(dataVolumesPath, dataVolume('fixed'));
    const changed = await patch(`${dataVolumesPath}/fixed`, merge, { spec: { preallocation: true } });
    expect([changed.status, changed.body]).toEqual([
      422,
      expect.objectContaining({ message: ' Cannot update DataVolume Spec' }),
    ]);
    await post(claimsPath, claim('grow'));
    const size = (storage: string) => ({ spec: { resources: { requests: { storage } } } });
    expect((await patch(`${claimsPath}/grow`, strategic, size('2Gi'))).status).toBe(403);
    expect((await patch(`${claimsPath}/grow`, strategic, size('1Mi'))).status).toBe(422);
    expect((await patch(`${claimsPath}/grow`, strategic, { spec: { volumeMode: 'Block' } })).status).toBe(422);
  });

  test('a claim without a class, mode or size gets the first two, and is refused without the last', async () => {
    const made = await post(claimsPath, claim('plain'));
    expect(made.body).toMatchObject({ spec: { storageClassName: 'longshore', volumeMode: 'Filesystem' } });
    const { status, body } = await post(claimsPath, { ...claim('none'), spec: {} });
    expect([status, body]).toEqual([
      422,
      expect.objectContaining({
        message:
          'PersistentVolumeClaim "none" is invalid: [spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: Required value]',
      }),
    ]);
  });

  test('status is written on its own path only', async () => {
    await post(dataVolumesPath, dataVolume('st'));
    await patch(`${dataVolumesPath}/st`, merge, { status: { phase: 'Succeeded' } });
    expect((await under.ask({ path: `${dataVolumesPath}/st` })).text).not.toContain('Succeeded');
    const set = await patch(`${dataVolumesPath}/st/status`, merge, { status: { phase: 'Succeeded' } });
    expect(set.body).toMatchObject({ status: { phase: 'Succeeded' } });
  });

  test('twenty writers that patch one object at once all succeed', async () => {
    await post(mapsPath, map('busy'));
    const writing = Array.from({ length: 20 }, (_, n) =>
      patch(`${mapsPath}/busy`, merge, { data: { [`k${n}`]: 'v' } }),
    );
    expect((await Promise.all(writing)).map(({ status }) => status)).toEqual(Array(20).fill(200));
    const stored = await under.store.get(resources.configMaps, { namespace: 'default', name: 'busy' });
    expect(Object.keys(stored?.data ?? {})).toHaveLength(20);
  });
});

describe('server-side apply', () => {
  const put = (manager: string, body: unknown, force = false) =>
    patch(`${mapsPath}/ssa?fieldManager=${manager}&force=${force}`, apply, body);

  test('creates, takes away what is no longer applied, keeps what others own, and tells conflicts', async () => {
    expect((await put('one', map('ssa', { a: '1', b: '1' }))).status).toBe(201);
    expect((await put('two', map('ssa', { b: '1', c: '1' }))).status).toBe(200);
    expect((await put('one', map('ssa', { a: '1' }))).body).toMatchObject({ data: { a: '1', b: '1', c: '1' } });
    const { text } = await put('two', map('ssa', { c: '1' }));
    expect(JSON.parse(text)).toMatchObject({ data: { a: '1', c: '1' } });
    expect(text).not.toContain('"b":"1"');
    const refused = await put('two', map('ssa', { a: '2', c: '1' }));
    expect([refused.status, refused.body]).toEqual([
      409,
      expect.objectContaining({
        reason: 'Conflict',
        message: 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a',
        details: expect.objectContaining({
          causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one" using v1', field: '.data.a' }],
        }),
      }),
    ]);
    expect((await put('two', map('ssa', { a: '2', c: '1' }), true)).body).toMatchObject({ data: { a: '2', c: '1' } });
    expect((await put('one', map('ssa'))).body).toMatchObject({ data: { a: '2', c: '1' } });
  });

  test('an update by others is a conflict too, and applying the same again changes nothing', async () => {
    await put('one', map('ssa', { z: '1' }));
    const before = under.store.version;
    await put('one', map('ssa', { z: '1' }));
    expect(under.store.version).toBe(before);
    await patch(`${mapsPath}/ssa?fieldManager=editor`, merge, { data: { z: '9' } });
    expect((await put('one', map('ssa', { z: '1' }))).text).toContain('conflict with \\"editor\\"');
  });

  test('without a manager it is refused', async () => {
    expect((await patch(`${mapsPath}/ssa`, apply, map('ssa'))).status).toBe(400);
  });
});

describe('reading', () => {
  test('lists come in pages that together are the whole', async () => {
    for (const name of ['p1', 'p2', 'p3', 'p4', 'p5']) await post(mapsPath, map(name, {}, { labels: { page: 'yes' } }));
    const seen: string[] = [];
    let token = '';
    do {
      const { text } = await under.ask({ path: `${mapsPath}?labelSelector=page%3Dyes&limit=2&continue=${token}` });
      const page = JSON.parse(text);
      seen.push(...page.items.map((item: { metadata: { name: string } }) => item.metadata.name));
      token = page.metadata.continue ?? '';
    } while (token !== '');
    expect(seen).toEqual(['p1', 'p2', 'p3', 'p4', 'p5']);
    expect((await under.ask({ path: `${mapsPath}?continue=nonsense` })).status).toBe(400);
  });

  test('a selector that cannot be read is a bad request', async () => {
    expect((await under.ask({ path: `${mapsPath}?labelSelector=a%3D%3D%3Db` })).status).toBe(400);
  });

  test('metadata only, for clients that ask for it behind protobuf', async () => {
    const accept =
      'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
    const { text } = await under.ask({ path: mapsPath, headers: { accept } });
    expect(JSON.parse(text)).toMatchObject({ kind: 'PartialObjectMetadataList', items: expect.any(Array) });
    expect(text).not.toContain('"data"');
  });
});

describe('watching', () => {
  const watchPath = `${mapsPath}?watch=true&labelSelector=w%3Dyes`;

  test('from nothing: what is there, then what changes', async () => {
    await post(mapsPath, map('w1', {}, { labels: { w: 'yes' } }));
    const events = watch(watchPath);
    expect(await events.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'w1' } } });
    await under.ask({ method: 'DELETE', path: `${mapsPath}/w1` });
    expect(await events.next()).toMatchObject({ type: 'DELETED', object: { metadata: { name: 'w1' } } });
    events.end();
  });

  test('from a version: only what changed since, also after the connection broke', async () => {
    const { version } = under.store;
    await post(mapsPath, map('w2', {}, { labels: { w: 'yes' } }));
    const first = watch(`${watchPath}&resourceVersion=${version}`);
    const event = await first.next();
    expect(event).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'w2' } } });
    first.end();
    await patch(`${mapsPath}/w2`, merge, { data: { a: 'b' } });
    const second = watch(`${watchPath}&resourceVersion=${Number(version) + 1}`);
    expect(await second.next()).toMatchObject({ type: 'MODIFIED', object: { data: { a: 'b' } } });
    second.end();
  });

  test('from a version that is gone: an event that says 410, then the end; a new list goes on from there', async () => {
    const events = watch(`${watchPath}&resourceVersion=999999`);
    expect(await events.next()).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
    expect(await events.next()).toBe('end');
    const listed = await under.ask({ path: mapsPath });
    const { resourceVersion } = JSON.parse(listed.text).metadata;
    const again = watch(`${watchPath}&resourceVersion=${resourceVersion}`);
    await patch(`${mapsPath}/w2`, merge, { data: { a: 'c' } });
    expect(await again.next()).toMatchObject({ type: 'MODIFIED', object: { data: { a: 'c' } } });
    again.end();
  });

  test('with initial events: a bookmark marks their end', async () => {
    const events = watch(
      `${watchPath}&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`,
    );
    expect(await events.next()).toMatchObject({ type: 'ADDED' });
    expect(await events.next()).toMatchObject({
      type: 'BOOKMARK',
      object: { kind: 'ConfigMap', metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
    events.end();
  });

  test('it ends when its user is removed', async () => {
    const token = await under.user('wendy', 'view');
    const events = watch(`${watchPath}&resourceVersion=${under.store.version}`, token);
    await patch(`${mapsPath}/w2`, merge, { data: { a: 'd' } });
    expect(await events.next()).toMatchObject({ type: 'MODIFIED' });
    await under.ask({ method: 'DELETE', path: '/apis/longshore.dev/v1alpha1/users/wendy' });
    await patch(`${mapsPath}/w2`, merge, { data: { a: 'e' } });
    expect(await events.next()).toBe('end');
  });

  test('it ends when its time is over', async () => {
    const events = watch(`${watchPath}&resourceVersion=${under.store.version}&timeoutSeconds=1`);
    expect(await events.next()).toBe('end');
  });
});
