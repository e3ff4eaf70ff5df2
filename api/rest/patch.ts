// The four patch formats of Kubernetes, by content type. Apply is server-side-apply.ts's business; here the other three.
import jsonPatch, { type Operation } from 'fast-json-patch';
import { Fault } from '../../domain/fault.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { badRequest, Refusal } from './kube-status.ts';
import { mergePatch } from './merge-patch.ts';
import { isRecord } from './read-object.ts';
import type { ServedKind } from './served-kinds.ts';
import { strategicMerge } from './strategic-merge.ts';

/** As kube-apiserver's. */
const mostOperations = 10_000;
/** A few copies, each of the one before, would fill the memory. */
const mostCopied = 3 * 1024 * 1024;

export type PatchForm = 'json' | 'merge' | 'strategic' | 'apply';

export interface Patch {
  readonly form: PatchForm;
  readonly body: unknown;
}

const forms: Readonly<Record<string, PatchForm>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};

/** @throws Fault UnsupportedMediaType as kube-apiserver words it; custom kinds know no strategic merge */
export function patchFormOf(kind: ServedKind, contentType: string | undefined): PatchForm {
  const form = forms[contentType?.split(';')[0]?.trim() ?? ''];
  if (form !== undefined && !(form === 'strategic' && kind.custom)) return form;
  const known = Object.keys(forms).filter((type) => !(kind.custom && forms[type] === 'strategic'));
  throw new Fault(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${known.join(', ')}`,
  );
}

/** @returns undefined where the pointer leads nowhere */
function pointedAt(document: unknown, pointer: unknown): unknown {
  if (typeof pointer !== 'string') return undefined;
  let value = document;
  for (const step of pointer.split('/').slice(1)) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.getOwnPropertyDescriptor(value, jsonPatch.unescapePathComponent(step))?.value;
  }
  return value;
}

/** What an operation adds to the object that the request itself did not bring. */
function copiedLength(document: unknown, operation: unknown): number {
  if (!isRecord(operation) || operation['op'] !== 'copy') return 0;
  return JSON.stringify(pointedAt(document, operation['from']))?.length ?? 0;
}

function applyJsonPatch(stored: KubeObject, body: unknown): unknown {
  if (!Array.isArray(body)) throw badRequest('a JSON patch must be an array');
  const operations: unknown[] = body;
  if (operations.length > mostOperations) {
    const limit = `The allowed maximum operations in a JSON patch is ${mostOperations}, got ${operations.length}`;
    throw new Fault('TooLarge', limit);
  }
  let document: unknown = structuredClone(stored);
  let copied = 0;
  for (const [index, operation] of operations.entries()) {
    copied += copiedLength(document, operation);
    if (copied > mostCopied) {
      throw new Fault('TooLarge', `copy operations of a JSON patch may add ${mostCopied} characters at most`);
    }
    document = applyOperation(document, operation, index);
  }
  return document;
}

/** Which one of a patch, counted from 0 as in its array. */
function describeOperation(operation: unknown, index: number): string {
  const { op, path } = isRecord(operation) ? operation : {};
  const told = [op, path].filter((part) => typeof part === 'string').join(' ');
  return told === '' ? `operation ${index}` : `operation ${index} (${told})`;
}

/** @param document is changed */
function applyOperation(document: unknown, operation: unknown, index: number): unknown {
  try {
    // Safe: the library checks the operation itself.
    return jsonPatch.applyOperation(document, operation as Operation, true, true, true, index).newDocument;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Refusal(
      'InvalidRequest',
      `the server rejected our request due to an error in our request: ${describeOperation(operation, index)}: ${reason}`,
    );
  }
}

/** @returns what the object would be; `stored` stays as it is. @throws Fault MalformedRequest, InvalidRequest */
export function applyPatch(kind: ServedKind, stored: KubeObject, patch: Patch): unknown {
  if (patch.form === 'json') return applyJsonPatch(stored, patch.body);
  if (typeof patch.body !== 'object' || patch.body === null) throw badRequest('a merge patch must be an object');
  return patch.form === 'strategic' ? strategicMerge(kind, stored, patch.body) : mergePatch(stored, patch.body);
}
