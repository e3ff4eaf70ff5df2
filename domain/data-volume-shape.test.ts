import { describe, expect, test } from 'vitest';
import { shapeMessage } from './cause.ts';
import { readDataVolume } from './data-volume-shape.ts';

const base = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name: 'x', namespace: 'y' } };

function causesOf(spec: unknown) {
  const result = readDataVolume({ ...base, spec });
  return 'causes' in result ? result.causes : [];
}

describe('the shape of a DataVolume', () => {
  test('tells of every wrong member, as the API server does', () => {
    const causes = causesOf({
      source: { http: { url: 5, extraHeaders: ['a', 7] }, pvc: {} },
      preallocation: 'yes',
      pvc: { resources: { requests: { storage: {} } } },
    });
    expect(causes).toEqual([
      {
        type: 'FieldValueTypeInvalid',
        field: 'spec.source.http.url',
        message: 'Invalid value: "integer": spec.source.http.url in body must be of type string: "integer"',
      },
      {
        type: 'FieldValueTypeInvalid',
        field: 'spec.source.http.extraHeaders[1]',
        message: 'Invalid value: "integer": spec.source.http.extraHeaders[1] in body must be of type string: "integer"',
      },
      { type: 'FieldValueRequired', field: 'spec.source.pvc.namespace', message: 'Required value' },
      { type: 'FieldValueRequired', field: 'spec.source.pvc.name', message: 'Required value' },
      {
        type: 'FieldValueTypeInvalid',
        field: 'spec.pvc.resources.requests.storage',
        message:
          'Invalid value: "object": spec.pvc.resources.requests.storage in body must be of type integer,string: "object"',
      },
      {
        type: 'FieldValueTypeInvalid',
        field: 'spec.preallocation',
        message: 'Invalid value: "string": spec.preallocation in body must be of type boolean: "string"',
      },
    ]);
  });

  test.each([
    [[], 'array'],
    ['text', 'string'],
    [1.5, 'number'],
    [null, 'null'],
  ])('wants an object for a spec, not %j', (spec, found) => {
    expect(causesOf(spec)).toEqual([
      {
        type: 'FieldValueTypeInvalid',
        field: 'spec',
        message: `Invalid value: "${found}": spec in body must be of type object: "${found}"`,
      },
    ]);
  });

  test('loses members that are null, and keeps the rest as it is', () => {
    const spec = {
      source: { http: null, blank: {} },
      storage: { accessModes: null, selector: { matchLabels: { a: 'b' } } },
    };
    const result = readDataVolume({ ...base, status: { phase: null }, spec });
    expect(result).toEqual({
      dataVolume: {
        ...base,
        status: { phase: null },
        spec: { source: { blank: {} }, storage: { selector: { matchLabels: { a: 'b' } } } },
      },
    });
  });

  test('is not fooled by a deep or odd object', () => {
    const deep = Array.from({ length: 500 }).reduce<unknown>((inner) => ({ matchLabels: inner }), {});
    expect(causesOf({ storage: { selector: deep }, __proto__: null })).toMatchObject([
      { type: 'FieldValueTypeInvalid', field: 'spec.storage.selector.matchLabels.matchLabels' },
    ]);
  });
});

test('the message of a refused shape names object, field and reason', () => {
  const causes = causesOf({ source: { pvc: { namespace: 'a' } } });
  expect(shapeMessage('DataVolume', 'cdi.kubevirt.io', 'x', causes)).toBe(
    'DataVolume.cdi.kubevirt.io "x" is invalid: spec.source.pvc.name: Required value',
  );
  expect(shapeMessage('Secret', '', 'x', [...causes, ...causes])).toBe(
    'Secret "x" is invalid: [spec.source.pvc.name: Required value, spec.source.pvc.name: Required value]',
  );
});
