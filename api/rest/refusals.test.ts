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

describe('what kube-apiserver refuses', () => {
  test('a selector by a field that the kind is not selected by', async () => {
    for (const method of ['GET', 'DELETE']) {
      const { status, body } = await under.ask({ method, path: `${mapsPath}?fieldSelector=spec.foo%3D1` });
      expect([status, body]).toMatchObject([400, { message: 'field label not supported: spec.foo' }]);
    }
    const events = '/api/v1/events?fieldSelector=involvedObject.name%3Da%2Ctype%3DWarning';
    expect((await under.ask({ path: events })).status).toBe(200);
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
