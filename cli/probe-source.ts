// Asks the service how large a volume the image of a source wants, for those who do not name a size.
import type { DataVolumeSource } from '../domain/data-volume.ts';
import { Fault } from '../domain/fault.ts';
import type { ApiClient } from './api-client.ts';
import { sizeFor } from './make-volume.ts';

interface ImageProbe {
  status: { format: string; virtualSizeBytes?: number };
}

/** @returns the size as a quantity. @throws Fault InvalidRequest where only the end of the content tells it, and those of an import */
export async function sizeOfSource(client: ApiClient, source: DataVolumeSource, namespace: string): Promise<string> {
  const path = `/apis/longshore.dev/v1alpha1/namespaces/${namespace}/imageprobes`;
  const { status } = await client.call<ImageProbe>({ method: 'POST', path, body: { spec: { source } } });
  if (status.virtualSizeBytes === undefined) {
    throw new Fault(
      'InvalidRequest',
      `the beginning of this ${status.format} image tells no size; name it with --size`,
    );
  }
  return sizeFor(status.virtualSizeBytes);
}
