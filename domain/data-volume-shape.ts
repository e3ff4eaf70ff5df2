// Whether a JSON value has the shape of a DataVolume, told in the words of the Kubernetes API server. What the members mean is
// checked by admission.ts, afterwards.
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Cause } from './cause.ts';
import { type DataVolume, DataVolumeSpec } from './data-volume.ts';
import { parseQuantity, quantityProblem } from './quantity.ts';

const shape = Type.Object({ spec: DataVolumeSpec });

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value without members that are null: to a typed client null and absent are the same. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutNulls(member)]));
}

/** `/spec/source/extraHeaders/0` → `spec.source.extraHeaders[0]` */
function fieldOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((field, part) => (/^\d+$/.test(part) ? `${field}[${part}]` : field === '' ? part : `${field}.${part}`), '');
}

function valueAt(root: unknown, pointer: string): unknown {
  const parts = pointer.split('/').slice(1);
  return parts.reduce<unknown>((value, part) => {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(value)) return value[Number(name)];
    return isObject(value) ? value[name] : undefined;
  }, root);
}

function typeNameOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function wrongType(field: string, expected: string, value: unknown): Cause {
  const found = typeNameOf(value);
  const message = `Invalid value: "${found}": ${field} in body must be of type ${expected}: "${found}"`;
  return { type: 'FieldValueTypeInvalid', field, message };
}

function shapeCauses(root: unknown): Cause[] {
  const errors = Value.Errors(shape, root);
  // A union tells of each of its members and then of itself: the last is enough.
  const unions = new Set(errors.filter(({ keyword }) => keyword === 'anyOf').map(({ instancePath }) => instancePath));
  return errors.flatMap((error): Cause[] => {
    const field = fieldOf(error.instancePath);
    if (error.keyword === 'required') {
      const join = (name: string): string => (field === '' ? name : `${field}.${name}`);
      return error.params.requiredProperties.map((name) => ({
        type: 'FieldValueRequired',
        field: join(name),
        message: 'Required value',
      }));
    }
    const value = valueAt(root, error.instancePath);
    if (error.keyword === 'anyOf') return [wrongType(field, 'integer,string', value)];
    if (error.keyword !== 'type' || unions.has(error.instancePath)) return [];
    return [wrongType(field, String(error.params.type), value)];
  });
}

function quantityCauses(spec: DataVolumeSpec): Cause[] {
  const sections = { pvc: spec.pvc, storage: spec.storage };
  return Object.entries(sections).flatMap(([section, wish]) =>
    (['requests', 'limits'] as const).flatMap((list) =>
      Object.entries(wish?.resources?.[list] ?? {})
        .filter(([, quantity]) => parseQuantity(quantity) === undefined)
        .map(
          ([name, quantity]): Cause => ({
            type: 'FieldValueInvalid',
            field: `spec.${section}.resources.${list}.${name}`,
            message: `Invalid value: ${JSON.stringify(quantity)}: ${quantityProblem}`,
          }),
        ),
    ),
  );
}

/**
 * Reads a DataVolume as it came in a request.
 * @param value an object whose apiVersion, kind and metadata were checked already
 * @returns the DataVolume without null members in its spec, or why it is none
 */
export function readDataVolume(value: JsonObject): { dataVolume: DataVolume } | { causes: Cause[] } {
  const cleaned = 'spec' in value ? { ...value, spec: withoutNulls(value['spec']) } : value;
  const causes = shapeCauses(cleaned);
  if (causes.length > 0) return { causes };
  // Safe: the spec was checked just now, the rest by the caller.
  const dataVolume = cleaned as unknown as DataVolume;
  const wrongQuantities = quantityCauses(dataVolume.spec);
  return wrongQuantities.length > 0 ? { causes: wrongQuantities } : { dataVolume };
}
