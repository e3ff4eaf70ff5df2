import { Type } from 'typebox';
import { describe, expect, test } from 'vitest';
import { PodResources } from './kube-shapes.ts';
import { structuralSchema } from './structural-schema.ts';

describe('a structural schema', () => {
  test('keeps types, descriptions, required members and the keywords of Kubernetes', () => {
    const schema = Type.Object(
      {
        url: Type.String({ description: 'where', minLength: 1 }),
        modes: Type.Optional(Type.Array(Type.String(), { description: 'how', 'x-kubernetes-list-type': 'atomic' })),
        count: Type.Optional(Type.Integer({ format: 'int32' })),
        bytes: Type.Optional(Type.Integer()),
      },
      { description: 'a source' },
    );
    expect(structuralSchema(schema)).toEqual({
      type: 'object',
      description: 'a source',
      required: ['url'],
      properties: {
        url: { type: 'string', description: 'where', minLength: 1 },
        modes: { type: 'array', description: 'how', items: { type: 'string' }, 'x-kubernetes-list-type': 'atomic' },
        count: { type: 'integer', format: 'int32' },
        bytes: { type: 'integer', format: 'int64' },
      },
    });
  });

  test('has maps as additional properties, and quantities as number or text', () => {
    const requests = structuralSchema(PodResources).properties?.['requests'];
    expect(requests).toMatchObject({
      type: 'object',
      additionalProperties: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
    });
    expect(requests?.additionalProperties?.type).toBeUndefined();
    expect(requests?.properties).toBeUndefined();
  });

  test('has null as a mark, and literals as a list of values', () => {
    const nullable = Type.Union([Type.Object({}), Type.Null()], { description: 'old' });
    expect(structuralSchema(nullable)).toEqual({ type: 'object', description: 'old', nullable: true });
    const role = Type.Union([Type.Literal('admin'), Type.Literal('edit')], { description: 'what one may' });
    expect(structuralSchema(role)).toEqual({ type: 'string', description: 'what one may', enum: ['admin', 'edit'] });
  });

  test('is refused for a choice of types, which Kubernetes does not know', () => {
    const choice = Type.Object({ value: Type.Union([Type.String(), Type.Boolean()]) });
    expect(() => structuralSchema(choice)).toThrow('value: a structural schema has no choice of types');
  });

  test('says of each list what its place says', () => {
    const schema = Type.Object({ spec: Type.Object({ names: Type.Array(Type.String()) }) });
    const names = structuralSchema(schema, (path) => ({ 'x-place': path })).properties?.['spec']?.properties?.['names'];
    expect(names).toMatchObject({ 'x-place': 'spec.names' });
  });
});
