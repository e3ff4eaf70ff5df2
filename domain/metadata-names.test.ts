import { expect, test } from 'vitest';
import { checkLabelsAndAnnotations } from './metadata-names.ts';

// As a body comes: JSON makes a member of that name.
const proto = JSON.parse('{"__proto__": "x"}');

test.each([
  ['labels', { '-bad-': 'x' }],
  ['labels', { 'a b': 'x' }],
  ['labels', { 'Upper.io/name': 'x' }],
  ['labels', { ['n'.repeat(64)]: 'x' }],
  ['labels', { a: '-x-' }],
  ['labels', { a: 'v'.repeat(64) }],
  ['labels', proto],
  ['annotations', { '-bad-': 'x' }],
  ['annotations', { 'a/b/c': 'x' }],
  ['annotations', proto],
])('%s %j are refused', (member, given) => {
  expect(checkLabelsAndAnnotations({ [member]: given })).toEqual([
    expect.objectContaining({ type: 'FieldValueInvalid', field: `metadata.${member}` }),
  ]);
});

test('annotations of more than 256 KiB in total are refused', () => {
  expect(checkLabelsAndAnnotations({ annotations: { a: 'x'.repeat(262_143) } })).toEqual([]);
  expect(checkLabelsAndAnnotations({ annotations: { a: 'x'.repeat(262_143), b: '' } })).toMatchObject([
    { type: 'FieldValueTooLong', field: 'metadata.annotations' },
  ]);
});

test('what Kubernetes takes is taken', () => {
  const labels = { app: '', 'cdi.kubevirt.io/a_b.c': 'x-1.y_Z' };
  expect(checkLabelsAndAnnotations({ labels, annotations: { 'Upper.io/name': '- anything -' } })).toEqual([]);
});
