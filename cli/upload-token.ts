// How an upload gets its token and finds the proxy: by the same two objects that virtctl reads.
import { Fault } from '../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { ApiClient } from './api-client.ts';
import type { VolumeName } from './volume-name.ts';

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
