import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import { claimUid, countBody, ProxyFixture, ready } from '../test/upload-proxy-fixture.ts';

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await ProxyFixture.start();
});
afterAll(() => proxy.close());
beforeEach(() => proxy.reset());

describe('who may upload', () => {
  test('no token or one of another form is 400 with an empty body', async () => {
    for (const headers of [{}, { authorization: 'Basic abc' }, { authorization: 'Bearer a b' }]) {
      const answer = await proxy.ask({ headers });
      expect([answer.status, answer.body, answer.headers['longshore-fault']]).toEqual([400, '', 'TokenMissing']);
    }
  });

  test('a forged token is 401', async () => {
    const { authorization = '' } = await proxy.bearer();
    const answer = await proxy.ask({ headers: { authorization: `${authorization.slice(0, -8)}AAAAAAAA` } });
    expect([answer.status, answer.body, answer.headers['longshore-fault']]).toEqual([401, '', 'TokenInvalid']);
  });

  test('an expired token is 401', async () => {
    const token = await proxy.tokens.issue(
      { namespace: 'web', name: 'disk', uid: claimUid },
      new Date(Date.now() - 80_000),
    );
    const answer = await proxy.ask({ headers: { authorization: `bearer ${token}` } });
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([401, 'TokenExpired']);
  });

  test('a token for a deleted claim does not open the next one of that name', async () => {
    const answer = await proxy.ask({ headers: await proxy.bearer({ uid: '99999999-2222-3333-4444-555555555555' }) });
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([403, 'TokenForeign']);
  });
});

describe('claims that take no bytes are 503 with what CDI says', () => {
  test.each([
    ['NotAnUploadTarget', {}, 'PVC disk is not an upload target'],
    [
      'UploadFinished',
      { ...ready, [annotations.podPhase]: 'Succeeded' },
      'rejecting Upload Request for PVC disk that already finished uploading',
    ],
    ['UploadNotReady', { ...ready, [annotations.podReady]: 'false' }, 'context deadline exceeded'],
    [
      'InvalidRequest',
      { ...ready, [annotations.contentType]: '<b>' },
      'rejecting upload request for PVC disk - upload content-type &lt;b&gt; is invalid',
    ],
  ])('%s', async (code, noted, sentence) => {
    proxy.shelf.put(noted);
    const answer = await proxy.ask({ headers: await proxy.bearer(), body: Buffer.alloc(10) });
    expect([answer.status, answer.body, answer.headers['longshore-fault']]).toEqual([503, sentence, code]);
  });

  test('a claim that is missing', async () => {
    proxy.shelf.claims.clear();
    const answer = await proxy.ask({ headers: await proxy.bearer() });
    expect(answer.status).toBe(503);
    expect(answer.body).toBe('rejecting Upload Request for PVC disk that doesn&#39;t exist');
  });
});

test('a claim that becomes ready while the proxy waits is uploaded to', async () => {
  proxy.shelf.put({ ...ready, [annotations.podReady]: 'false' });
  proxy.handleUpload = async (request, response) => response.end(String(await countBody(request)));
  const asked = proxy.ask({ headers: await proxy.bearer(), body: Buffer.alloc(1000) });
  setTimeout(() => proxy.shelf.put(ready), 100);
  expect(await asked).toMatchObject({ status: 200, body: '1000' });
});
