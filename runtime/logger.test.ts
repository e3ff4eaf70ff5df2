import { describe, expect, test } from 'vitest';
import { createLogger } from './logger.ts';

const password = 'hunter2-hunter2';

/** The one line that was logged, as it went out and as it is read. */
function logged(write: (logger: ReturnType<typeof createLogger>) => void): { text: string; line: unknown } {
  const lines: string[] = [];
  write(createLogger({ logLevel: 'info' }, 'test', { write: (line) => lines.push(line) }));
  expect(lines).toHaveLength(1);
  return { text: lines[0] ?? '', line: JSON.parse(lines[0] ?? '') };
}

describe('a secret does not get into the log', () => {
  const deep = (value: unknown, depth: number): unknown => (depth === 0 ? value : { inner: deep(value, depth - 1) });

  test.each(['authorization', 'Authorization', 'password', 'token', 'secret', 'secretKey', 'cookie', 'x-auth-token'])(
    'named %s, at any depth',
    (name) => {
      for (const depth of [0, 1, 2, 3, 6]) {
        const { text, line } = logged((logger) =>
          logger.info({ given: deep({ [name]: password }, depth), stays: 'a' }, 'x'),
        );
        expect(text).not.toContain(password);
        expect(line).toMatchObject({ stays: 'a', msg: 'x', given: deep({ [name]: '[redacted]' }, depth) });
      }
    },
  );

  test('named so, and no text', () => {
    const { text } = logged((logger) => logger.info({ secret: { data: password }, a: { token: [password] } }));
    expect(text).not.toContain(password);
  });

  test('in the headers that an error carries, and in those of its cause', () => {
    const headers = { Authorization: `Bearer ${password}`, 'set-cookie': [`Bearer ${password}`] };
    const cause = Object.assign(new Error('refused'), { options: { headers } });
    const error = Object.assign(new Error('failed', { cause }), { response: { request: { headers } } });
    const { text, line } = logged((logger) => logger.error({ err: error, failed: { request: { headers } } }, 'x'));
    expect(text).not.toContain(password);
    expect(line).toMatchObject({ err: { message: expect.stringContaining('failed') } });
  });

  test.each([
    `401 with authorization: Bearer ${password}`,
    `asked with {"token":"${password}"} in vain`,
    `redis://:${password}@redis:6379 is gone`,
    `https://user:${password}@host/disk.img`,
    `https://bucket/disk.img?X-Amz-Date=1&X-Amz-Signature=${password}&x=1`,
    `-----BEGIN EC PRIVATE KEY-----\n${password}\n-----END EC PRIVATE KEY-----`,
  ])('within a text: %s', (message) => {
    const { text, line } = logged((logger) => logger.warn({ err: new Error(message), detail: message }, message));
    expect(text).not.toContain(password);
    expect(line).toMatchObject({ detail: expect.stringContaining('[redacted]') });
  });

  test('and what is none stays', () => {
    const facts = { key: 'web/disk', secretName: 'registry', path: '/v1beta1/upload?a=b', at: '2026-01-01T00:00:00Z' };
    expect(logged((logger) => logger.info(facts, 'a basic thing')).line).toMatchObject({
      ...facts,
      msg: 'a basic thing',
    });
  });
});
