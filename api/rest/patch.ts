// The four patch formats of Kubernetes, by content type. Apply is server-side-apply.ts's business; here the other three.
import jsonPatch from 'fast-json-patch';
import { Fault } from '../../domain/fault.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { badRequest, Refusal } from './kube-status.ts';
import { mergePatch } from './merge-patch.ts';
import type { ServedKind } from './served-kinds.ts';
import { strategicMerge } from './strategic-merge.ts';

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

function applyJsonPatch(stored: KubeObject, body: unknown): unknown {
  if (!Array.isArray(body)) throw badRequest('a JSON patch must be an array');
  try {
    // The library checks each operation and never touches `stored`, of which it works on a copy.
    return jsonPatch.applyPatch(structuredClone(stored), body, true, true, true).newDocument;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Refusal('InvalidRequest', `the server rejected our request due to an error in our request: ${reason}`);
  }
}

/** @returns what the object would be; `stored` stays as it is. @throws Fault MalformedRequest, InvalidRequest */
export function applyPatch(kind: ServedKind, stored: KubeObject, patch: Patch): unknown {
  if (patch.form === 'json') return applyJsonPatch(stored, patch.body);
  if (typeof patch.body !== 'object' || patch.body === null) throw badRequest('a merge patch must be an object');
  return patch.form === 'strategic' ? strategicMerge(kind, stored, patch.body) : mergePatch(stored, patch.body);
}
