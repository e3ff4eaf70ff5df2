// How an upload gets its token and finds the proxy: by the same two objects that virtctl reads.
import { annotations } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { ApiClient } from './api-client.ts';
import { showName, type VolumeName } from './volume-name.ts';

export interface UploadTokenRequest extends KubeObject {
  spec: { pvcName: string };
  status?: { token?: string };
}

const tokenRequests: ResourceRef<UploadTokenRequest> = {
  group: 'upload.cdi.kubevirt.io',
  version: 'v1beta1',
  plural: 'uploadtokenrequests',
  kind: 'UploadTokenRequest',
  namespaced: true,
};

export async function createTokenRequest(
  client: ApiClient,
  { namespace, name }: VolumeName,
): Promise<UploadTokenRequest> {
  return client.create(tokenRequests, {
    apiVersion: 'upload.cdi.kubevirt.io/v1beta1',
    kind: 'UploadTokenRequest',
    metadata: { name, namespace },
    spec: { pvcName: name },
  });
}

/**
 * The API gives a token for any claim, as CDI does; who asks for one by hand is told at once what the upload proxy would answer in the end.
 * @throws Fault NotAnUploadTarget, UploadFinished
 */
export async function requireUploadTarget(client: ApiClient, name: VolumeName): Promise<void> {
  const claim = await client.find(resources.claims, name);
  // The API says that there is none; what a populator fills is told by another claim.
  if (claim === undefined || claim.spec.dataSourceRef !== undefined) return;
  const told = claim.metadata.annotations ?? {};
  if (told[annotations.uploadTarget] === undefined) {
    throw new Fault('NotAnUploadTarget', `${showName(name)} is filled otherwise, or by nobody`);
  }
  if (told[annotations.podPhase] === 'Succeeded') throw new Fault('UploadFinished', `${showName(name)} is complete`);
}

export function tokenOf(request: UploadTokenRequest): string {
  const token = request.status?.token;
  if (token === undefined) throw new Fault('ServiceUnreachable', 'the answer to the request for a token holds none');
  return token;
}

export async function requestToken(client: ApiClient, name: VolumeName): Promise<string> {
  return tokenOf(await createTokenRequest(client, name));
}

/** https URL without a path. */
export async function uploadProxyUrl(client: ApiClient): Promise<string> {
  const config = await client.get(resources.cdiConfigs, { name: 'config' });
  const address = config.spec?.uploadProxyURLOverride ?? config.status?.uploadProxyURL;
  if (address === undefined)
    throw new Fault('ServiceUnreachable', 'the service does not tell where its upload proxy is');
  return (address.includes('://') ? address : `https://${address}`).replace(/\/$/, '');
}
