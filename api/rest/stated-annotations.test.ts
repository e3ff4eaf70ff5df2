// What users cannot forge: the state of a claim, its volume, and who asked for a clone. Over real HTTPS with users of each role.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { annotations, statedAnnotations } from '../../domain/annotations.ts';
import { resources } from '../../domain/resources.ts';
import { ApiUnderTest, claim, claimsPath, dataVolume, dataVolumesPath } from '../../test/kubectl/running-api.ts';

let under: ApiUnderTest;
let editor: string;
beforeAll(async () => {
  under = await ApiUnderTest.start();
  editor = await under.user('eve', 'edit', ['default']);
});
afterAll(() => under.close());

const merge = { 'content-type': 'application/merge-patch+json' };
const apply = { 'content-type': 'application/apply-patch+yaml' };
const json = { 'content-type': 'application/json-patch+json' };
const forged = Object.fromEntries([...statedAnnotations, annotations.requester].map((name) => [name, 'forged']));
const own = { [annotations.uploadTarget]: '', [annotations.contentType]: 'kubevirt', mine: 'yes' };

function annotated(object: object, added: Record<string, string>): object {
  const metadata = 'metadata' in object && typeof object.metadata === 'object' ? object.metadata : {};
  return { ...object, metadata: { ...metadata, annotations: added } };
}

async function storedAnnotations(name: string): Promise<Record<string, string>> {
  const found = await under.store.get(resources.claims, { namespace: 'default', name });
  return found?.metadata.annotations ?? {};
}

/** What metadata.managedFields says of annotations, one list a manager. */
async function notedAnnotations(name: string): Promise<string[][]> {
  const found = await under.store.get(resources.claims, { namespace: 'default', name });
  // Safe: the API wrote them.
  const managers = (found?.metadata.managedFields ?? []) as { fieldsV1: Record<string, Record<string, object>> }[];
  return managers.map(({ fieldsV1 }) => Object.keys(fieldsV1['f:metadata']?.['f:annotations'] ?? {}));
}

/** As the controller writes, past the API. */
async function state(name: string, told: Record<string, string>, volumeName?: string): Promise<void> {
  const found = await under.store.get(resources.claims, { namespace: 'default', name });
  if (found === undefined) throw new Error(`no claim ${name}`);
  const metadata = { ...found.metadata, annotations: { ...found.metadata.annotations, ...told } };
  const spec = volumeName === undefined ? found.spec : { ...found.spec, volumeName };
  await under.store.update(resources.claims, { ...found, metadata, spec });
}

describe('what the service states of a claim', () => {
  test.each([
    ['an edit user', () => editor],
    ['the administrator', () => under.adminToken],
  ])('is not taken from %s who creates it', async (who, token) => {
    const name = who.replaceAll(' ', '-');
    const body = annotated(claim(name), { ...forged, ...own });
    const { status } = await under.ask({ method: 'POST', path: claimsPath, token: token(), body });
    expect([status, await storedAnnotations(name)]).toEqual([201, own]);
  });

  test('is not taken from an apply that creates it', async () => {
    const path = `${claimsPath}/applied?fieldManager=test`;
    const body = annotated(claim('applied'), { ...forged, ...own });
    const { status } = await under.ask({ method: 'PATCH', path, token: editor, headers: apply, body });
    expect([status, await storedAnnotations('applied')]).toEqual([201, own]);
  });

  test('is neither changed, added nor removed by an update or a patch of any form', async () => {
    await under.ask({ method: 'POST', path: claimsPath, body: annotated(claim('kept'), own) });
    const told = { [annotations.podPhase]: 'Running', [annotations.attempt]: '{"attempt":1}' };
    await state('kept', told);
    const path = `${claimsPath}/kept`;
    const send = (method: string, headers: Record<string, string>, body: unknown, query = '') =>
      under.ask({ method, path: `${path}${query}`, token: editor, headers, body });
    const forgeries = [
      await send('PATCH', merge, { metadata: { annotations: forged } }),
      await send('PATCH', merge, { metadata: { annotations: { [annotations.podPhase]: null } } }),
      await send('PATCH', json, [{ op: 'add', path: '/metadata/annotations/longshore.dev~1path', value: '/etc' }]),
      await send('PATCH', apply, annotated(claim('kept'), { ...forged, ...own }), '?fieldManager=test&force=true'),
      await send('PUT', {}, { ...(await under.store.get(resources.claims, { namespace: 'default', name: 'kept' })) }),
    ];
    expect(forgeries.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(await storedAnnotations('kept')).toEqual({ ...own, ...told });
    const stripped = await under.store.get(resources.claims, { namespace: 'default', name: 'kept' });
    const { annotations: _, ...metadata } = stripped?.metadata ?? { name: 'kept' };
    expect((await send('PUT', {}, { ...stripped, metadata })).status).toBe(200);
    expect(await storedAnnotations('kept')).toEqual(told);
  });

  test('is not noted as set by who sent it, neither by an apply nor by a patch', async () => {
    const send = (headers: Record<string, string>, sent: object, manager: string) =>
      under.ask({
        ...{ method: 'PATCH', path: `${claimsPath}/noted?fieldManager=${manager}`, token: editor },
        ...{ headers, body: sent },
      });
    const body = annotated(claim('noted'), { ...forged, mine: 'yes' });
    await send(apply, body, 'one');
    expect(await notedAnnotations('noted')).toEqual([['f:mine']]);
    await state('noted', { [annotations.podPhase]: 'Running' });
    await send(apply, body, 'one');
    expect(await notedAnnotations('noted')).toEqual([['f:mine']]);
    await send(merge, { metadata: { annotations: { ...forged, more: 'yes' } } }, 'two');
    expect(await notedAnnotations('noted')).toEqual([['f:mine'], ['f:more']]);
  });

  test('virtctl may still make a claim that exists an upload target', async () => {
    await under.ask({ method: 'POST', path: claimsPath, body: claim('later') });
    const found = await under.store.get(resources.claims, { namespace: 'default', name: 'later' });
    const body = annotated({ ...found }, { [annotations.uploadTarget]: '' });
    await under.ask({ method: 'PUT', path: `${claimsPath}/later`, token: editor, body });
    expect(await storedAnnotations('later')).toEqual({ [annotations.uploadTarget]: '' });
  });

  test('its node is a wish until it has a volume, then the service’s to say', async () => {
    await under.ask({ method: 'POST', path: claimsPath, body: claim('placed') });
    const choose = (node: string) =>
      under.ask({
        ...{ method: 'PATCH', path: `${claimsPath}/placed`, token: editor, headers: merge },
        body: { metadata: { annotations: { [annotations.selectedNode]: node } } },
      });
    await choose('one');
    expect(await storedAnnotations('placed')).toEqual({ [annotations.selectedNode]: 'one' });
    await state('placed', {}, 'pvc-1');
    await choose('two');
    expect(await storedAnnotations('placed')).toEqual({ [annotations.selectedNode]: 'one' });
  });

  test('no claim of our class names its volume, and none changes it', async () => {
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, volumeName: 'pvc-9' };
    const refused = await under.ask({ method: 'POST', path: claimsPath, body: { ...claim('named'), spec } });
    expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('spec.volumeName: Forbidden')]);
    const foreign = { ...claim('foreign'), spec: { ...spec, storageClassName: 'nfs' } };
    expect((await under.ask({ method: 'POST', path: claimsPath, body: foreign })).status).toBe(201);
    await under.ask({ method: 'POST', path: claimsPath, body: claim('bound') });
    const path = `${claimsPath}/bound`;
    const changed = await under.ask({ method: 'PATCH', path, headers: merge, body: { spec: { volumeName: 'pvc-9' } } });
    expect(changed.status).toBe(422);
  });
});

describe('who asked for a clone, and states', () => {
  test('the same annotations are dropped from a DataVolume', async () => {
    const body = annotated(dataVolume('forged'), { ...forged, mine: 'yes' });
    const made = await under.ask({ method: 'POST', path: dataVolumesPath, token: editor, body });
    expect([made.status, made.body]).toEqual([201, expect.objectContaining({ metadata: expect.anything() })]);
    const patched = await under.ask({
      ...{ method: 'PATCH', path: `${dataVolumesPath}/forged`, token: editor, headers: merge },
      body: { metadata: { annotations: forged } },
    });
    expect(patched.status).toBe(200);
    const stored = await under.store.get(resources.dataVolumes, { namespace: 'default', name: 'forged' });
    expect(stored?.metadata.annotations).toEqual({ mine: 'yes' });
  });

  test.each([
    ['datavolumes', () => `${dataVolumesPath}/forged/status`],
    ['persistentvolumeclaims', () => `${claimsPath}/kept/status`],
  ])('the status of %s is not an edit user’s to write', async (_kind, path) => {
    const body = { status: { phase: 'Bound' } };
    const patched = await under.ask({ method: 'PATCH', path: path(), token: editor, headers: merge, body });
    expect(patched.status).toBe(403);
  });

  test('a clone from a namespace that does not exist is refused as in CDI', async () => {
    const source = { pvc: { namespace: 'nowhere', name: 'disk' } };
    const spec = { source, storage: { resources: { requests: { storage: '1Gi' } } } };
    const ask = (token: string) =>
      under.ask({ method: 'POST', path: dataVolumesPath, token, body: dataVolume('copy', { spec }) });
    const refused = await ask(under.adminToken);
    expect([refused.status, refused.text]).toEqual([
      400,
      expect.stringContaining('namespaces \\"nowhere\\" not found'),
    ]);
    const hidden = await ask(editor);
    expect([hidden.status, hidden.text]).toEqual([422, expect.stringContaining('insufficient permissions')]);
    expect(under.store.entry(resources.dataVolumes, { namespace: 'default', name: 'copy' })).toBeUndefined();
  });
});
