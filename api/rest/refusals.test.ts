import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, ApiUnderTest } from '../../test/kubectl/running-api.ts';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start();
});
afterAll(() => under.close());

const mapsPath = '/api/v1/namespaces/default/configmaps';

function post(name: string, { metadata = {}, data = {} }: { metadata?: object; data?: object }): Promise<Answer> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
  return under.ask({ method: 'POST', path: mapsPath, body });
}

test('events are selected by what they are about, and by who told them', async () => {
  const event = {
    ...{ apiVersion: 'v1', kind: 'Event', metadata: { name: 'told' }, type: 'Normal', reason: 'Told' },
    ...{ involvedObject: { kind: 'DataVolume', namespace: 'default', name: 'a' }, source: { component: 'teller' } },
  };
  const path = '/api/v1/namespaces/default/events';
  expect((await under.ask({ method: 'POST', path, body: event })).status).toBe(201);
  const named = async (selector: string) => {
    const { body } = await under.ask({ path: `${path}?fieldSelector=${encodeURIComponent(selector)}` });
    // Safe: the answer is a list of events.
    return (body as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);
  };
  expect(await named('involvedObject.name=a,type=Normal')).toEqual(['told']);
  expect(await named('involvedObject.name=a,type=Warning')).toEqual([]);
  expect(await named('source=teller,metadata.name==told')).toEqual(['told']);
  expect(await named('source!=teller,metadata.name=told')).toEqual([]);
});

describe('what kube-apiserver refuses', () => {
  test('a selector by a field that the kind is not selected by', async () => {
    for (const method of ['GET', 'DELETE']) {
      const { status, body } = await under.ask({ method, path: `${mapsPath}?fieldSelector=spec.foo%3D1` });
      expect([status, body]).toMatchObject([400, { message: 'field label not supported: spec.foo' }]);
    }
  });

  test('labels and annotations that are none, in words that name the object', async () => {
    for (const metadata of [{ labels: { a: '-x-' } }, { annotations: { 'a b': '' } }]) {
      const { status, body } = await post('misnamed', { metadata });
      expect([status, body]).toMatchObject([422, { reason: 'Invalid', details: { name: 'misnamed' } }]);
    }
  });

  test('a wrong type, in a Status that names the object', async () => {
    const { status, body } = await post('wrong', { data: { a: true } });
    expect([status, body]).toMatchObject([422, { details: { name: 'wrong', kind: 'ConfigMap' } }]);
  });
});
