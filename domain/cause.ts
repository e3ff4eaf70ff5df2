// One reason why an object is refused, as Kubernetes tells it: a type, a field and a message; and the sentences made from several.

/** Kubernetes' reasons that are used here. */
export type CauseType =
  | 'FieldValueInvalid'
  | 'FieldValueDuplicate'
  | 'FieldValueRequired'
  | 'FieldValueTypeInvalid'
  | 'FieldValueNotFound'
  | 'FieldValueNotSupported'
  | 'FieldValueTooLong'
  | 'FieldValueForbidden';

export interface Cause {
  readonly type: CauseType;
  /** Path of the member, such as `spec.source.http.url`; CDI's own rules spell some members with capitals. */
  readonly field: string;
  readonly message: string;
}

export function invalid(field: string, message: string): Cause {
  return { type: 'FieldValueInvalid', field, message };
}

/** `message` of the Status by which an admission rule refuses, as CDI builds it: each cause's message after a blank. */
export function admissionMessage(causes: readonly Cause[]): string {
  return causes.map((cause) => ` ${cause.message}`).join('');
}

/** `message` of the Status by which the API server refuses a shape: `Kind.group "name" is invalid: field: message`. */
export function shapeMessage(kind: string, group: string, name: string, causes: readonly Cause[]): string {
  const qualified = group === '' ? kind : `${kind}.${group}`;
  const parts = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const list = parts.length === 1 ? parts.join('') : `[${parts.join(', ')}]`;
  return `${qualified} "${name}" is invalid: ${list}`;
}
