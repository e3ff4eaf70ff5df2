import { describe, expect, test } from 'vitest';
import { parsePlainHead } from './plain-head.ts';

const plain = ['HTTP/1.1 206 Partial Content', 'Content-Length: 10', 'Content-Range: bytes 0-9/20', 'ETag: "a"'];

describe('the head of an answer', () => {
  test('is read with its names in lower case', () => {
    expect(parsePlainHead(plain.join('\r\n'))).toEqual({
      status: 206,
      headers: { 'content-length': '10', 'content-range': 'bytes 0-9/20', etag: '"a"' },
      lengthBytes: 10,
      keepsAlive: true,
    });
  });

  test('ends the connection where the server says so, or speaks HTTP/1.0', () => {
    expect(parsePlainHead([...plain, 'Connection: Close'].join('\r\n'))?.keepsAlive).toBe(false);
    expect(parsePlainHead(['HTTP/1.0 206 OK', ...plain.slice(1)].join('\r\n'))?.keepsAlive).toBe(false);
  });

  test.each([
    ['no HTTP', ['ICY 200 OK']],
    ['another version', ['HTTP/2 206', ...plain.slice(1)]],
    ['an interim answer', ['HTTP/1.1 100 Continue']],
    ['a folded line', [...plain, ' more of it']],
    ['a space before the colon', [...plain, 'X-A : 1']],
    ['a bare line feed', [...plain, 'X-A: 1\nX-B: 2']],
    ['two lengths', [...plain, 'Content-Length: 11']],
    ['two transfer encodings', [...plain, 'Transfer-Encoding: identity', 'Transfer-Encoding: chunked']],
  ])('is not plain with %s', (_name, lines) => {
    expect(parsePlainHead(lines.join('\r\n'))).toBeUndefined();
  });

  test.each([
    ['no length', plain.filter((line) => !line.startsWith('Content-Length'))],
    ['a length that is no number', ['HTTP/1.1 206 OK', 'Content-Length: 0x10']],
    ['a length and a transfer encoding', [...plain, 'Transfer-Encoding: chunked']],
  ])('tells no length with %s', (_name, lines) => {
    expect(parsePlainHead(lines.join('\r\n'))?.lengthBytes).toBeUndefined();
  });

  test('a header that is called like something of an object is a header', () => {
    expect(parsePlainHead([...plain, '__proto__: 1'].join('\r\n'))?.headers['etag']).toBe('"a"');
  });
});
