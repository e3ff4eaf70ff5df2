import { expect, test } from 'vitest';
import type { StructuralSchema } from '../domain/structural-schema.ts';
import { structuralProblems, undescribedMembers } from './structural-rules.ts';

/** An object whose spec has one member `x`, and otherwise nothing wrong. */
function withMember(x: StructuralSchema, spec: StructuralSchema = {}): StructuralSchema {
  const properties = { x };
  return {
    type: 'object',
    properties: { metadata: { type: 'object' }, spec: { type: 'object', properties, ...spec } },
  };
}

const text: StructuralSchema = { type: 'string' };
const quantity: StructuralSchema = {
  'x-kubernetes-int-or-string': true,
  anyOf: [{ type: 'integer' }, { type: 'string' }],
  pattern: '^1$',
};
const keyed = { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] } as const;

test.for<[string, StructuralSchema]>([
  ['a text', text],
  ['a quantity', quantity],
  ['a map', { type: 'object', additionalProperties: quantity }],
  ['a list', { type: 'array', items: text, maxItems: 4, 'x-kubernetes-list-type': 'atomic' }],
  ['a keyed list', { ...keyed, items: { type: 'object', properties: { name: text }, required: ['name'] } }],
  ['an object that may be null', { type: 'object', nullable: true }],
])('%s is structural', ([, member]) => {
  expect(structuralProblems(withMember(member))).toEqual([]);
});

test.for<[StructuralSchema, string]>([
  [{ description: 'no type' }, 'spec.x has the type undefined'],
  // Safe: the wrong type is what is tried.
  [{ type: 'null' as 'string' }, 'spec.x has the type null'],
  [{ anyOf: [{ type: 'string' }, { type: 'boolean' }] }, 'spec.x has a choice of types'],
  [{ type: 'string', anyOf: [{ description: 'other' }] }, 'spec.x has a choice of types'],
  [{ ...quantity, type: 'string' }, 'spec.x is int-or-string and has a type'],
  [{ ...quantity, anyOf: [{ type: 'string' }] }, 'spec.x is int-or-string with another choice of types'],
  [{ $ref: '#/definitions/x' }, 'spec.x has $ref'],
  [{ type: 'object', patternProperties: { '^.*$': text } }, 'spec.x has patternProperties'],
  [{ type: 'string', const: 'a' }, 'spec.x has const'],
  [{ type: 'array', items: text, uniqueItems: true }, 'spec.x has uniqueItems'],
  [{ type: 'object', 'x-kubernetes-preserve-unknown-fields': true }, 'spec.x has x-kubernetes-preserve-unknown-fields'],
  [
    { type: 'object', properties: { a: text }, additionalProperties: text },
    'spec.x has additionalProperties beside properties',
  ],
  [{ type: 'object', properties: { a: text }, required: ['b'] }, 'spec.x requires b, which it does not have'],
  [{ type: 'string', properties: { a: text } }, 'spec.x has properties and is no object'],
  [{ type: 'object', items: text }, 'spec.x has items and is no array'],
  [{ type: 'array' }, 'spec.x is a list without one schema of its items'],
  // Safe: the wrong type is what is tried. JSON Schema has a schema for each place of a list, too; StructuralSchema, rightly, does not.
  [{ type: 'array', items: [text] as unknown as StructuralSchema }, 'spec.x is a list without one schema of its items'],
  [{ type: 'array', items: { description: 'no type' } }, 'spec.x[] has the type undefined'],
  [{ type: 'object', additionalProperties: { description: 'no type' } }, 'spec.x{} has the type undefined'],
  [
    { ...keyed, items: { type: 'object', properties: { name: text } } },
    'spec.x has the key name, which its items need not have',
  ],
  [
    { type: 'array', items: text, 'x-kubernetes-list-type': 'map' },
    'spec.x is a map with no keys, or has keys and is no map',
  ],
])('%j breaks a rule', ([member, problem]) => {
  expect(structuralProblems(withMember(member))).toContain(problem);
});

test('the object itself has rules of its own', () => {
  const metadata: StructuralSchema = { type: 'object', properties: { labels: { type: 'object' } } };
  expect(structuralProblems({ type: 'object', properties: { metadata } })).toEqual([
    'the object has metadata that is not a bare object',
  ]);
  expect(structuralProblems({ type: 'object', additionalProperties: text })).toEqual([
    'the object has additionalProperties',
    'the object has metadata that is not a bare object',
  ]);
  expect(structuralProblems({ type: 'array', items: text })[0]).toBe('the object is no object');
});

test('a member without a word is found at every level', () => {
  const inner: StructuralSchema = { type: 'object', properties: { a: { ...text, description: ' ' } } };
  const list: StructuralSchema = { type: 'array', description: 'a list', items: inner };
  expect(undescribedMembers({ ...withMember(list), description: 'an object' })).toEqual(['spec', 'spec.x[].a']);
  expect(undescribedMembers({ ...withMember(inner), description: 'an object' })).toEqual([
    'spec',
    'spec.x',
    'spec.x.a',
  ]);
  expect(undescribedMembers({ type: 'object' })).toEqual(['']);
});
