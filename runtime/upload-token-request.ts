// The answer to an UploadTokenRequest: the object that was sent, with a token in its status; nothing is stored. As in CDI the token names a claim; ours also holds
// the claim's uid, so the claim must exist. https://github.com/kubevirt/containerized-data-importer/blob/main/doc/upload.md
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { UploadTokens } from './upload-tokens.ts';

const UploadTokenRequest = Compile(
  Type.Object({
    metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    spec: Type.Object({ pvcName: Type.String({ minLength: 1 }) }),
  }),
);

export interface TokenDesk {
  reader: ObjectReader;
  tokens: Pick<UploadTokens, 'issue'>;
  lifetimeSeconds: number;
}

/**
 * The caller has found the asker entitled.
 * @param body what was sent
 * @throws Fault MalformedRequest, NotFound (the claim), Conflict (it is being deleted)
 */
export async function answerUploadTokenRequest(desk: TokenDesk, namespace: string, body: unknown): Promise<object> {
  if (!UploadTokenRequest.Check(body)) throw new Fault('MalformedRequest', 'spec.pvcName is required');
  const { metadata = {}, spec } = body;
  const { pvcName: name } = spec;
  const claim = await desk.reader.get(resources.claims, { namespace, name });
  const uid = claim?.metadata.uid;
  if (uid === undefined) throw new Fault('NotFound', `persistentvolumeclaims "${name}" not found`);
  if (claim?.metadata.deletionTimestamp !== undefined) {
    throw new Fault('Conflict', `persistentvolumeclaims "${name}" is being deleted`);
  }
  const now = new Date();
  const expiresAt = wholeSeconds(new Date(now.getTime() + desk.lifetimeSeconds * 1_000));
  const token = await desk.tokens.issue({ namespace, name, uid }, now);
  return {
    kind: 'UploadTokenRequest',
    apiVersion: 'upload.cdi.kubevirt.io/v1beta1',
    metadata: { ...metadata, namespace, creationTimestamp: wholeSeconds(now) },
    spec,
    status: { token, longshore: { expiresAt } },
  };
}

function wholeSeconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
