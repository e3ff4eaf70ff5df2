import { describe, expect, test } from 'vitest';
import { openApiV2 } from './open-api.ts';
import { encodeOpenApiV2 } from './open-api-protobuf.ts';

describe('OpenAPI as protobuf', () => {
  test('holds the whole page: every member has a number', () => {
    expect(encodeOpenApiV2(openApiV2()).includes('cdi.kubevirt.io')).toBe(true);
  });

  test('a page by hand is, byte for byte, what the wire format says', () => {
    const info = { title: 'a', version: 'b' };
    const page = { swagger: '2.0', info, definitions: { n: { type: 'string', 'x-y': 1 } } };
    const text = (value: string) => Buffer.from(value).toString('hex');
    // type is field 1 of field 22; x-y is field 31: its name, and the YAML of its value.
    const schema = `b20108${'0a06'}${text('string')}fa010a${'0a03'}${text('x-y')}${'1203'}${'1201'}${text('1')}`;
    const definition = `0a1d${'0a01'}${text('n')}${'1218'}${schema}`;
    const begin = `0a03${text('2.0')}${'1206'}${'0a01'}${text('a')}${'1201'}${text('b')}`;
    expect(encodeOpenApiV2(page).toString('hex')).toBe(`${begin}4a1f${definition}`);
  });

  test('a member that has no number is a fault, not left out', () => {
    expect(() => encodeOpenApiV2({ definitions: { n: { nullable: true } } })).toThrow('nullable without a number');
  });
});
