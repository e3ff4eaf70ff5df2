// Asks the service for a volume; a namespace that does not exist yet is made first, so that a newcomer's first line works.
import type { DataVolume } from '../domain/data-volume.ts';
import { Fault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import type { ApiClient } from './api-client.ts';
import type { Output } from './command-io.ts';

/** @throws Fault AlreadyExists, InvalidRequest, Forbidden; NotFound where the namespace is missing and the user may not make it */
export async function createVolume(client: ApiClient, asked: DataVolume, stderr: Output): Promise<DataVolume> {
  const namespace = asked.metadata.namespace ?? 'default';
  try {
    return await client.create(resources.dataVolumes, asked);
  } catch (error) {
    const missing = error instanceof Fault && error.code === 'NotFound';
    if (!missing || !(await makeNamespace(client, namespace))) throw error;
    stderr.write(`namespace ${namespace}: created\n`);
    return client.create(resources.dataVolumes, asked);
  }
}

/** @returns false where it is there already or the user may not */
async function makeNamespace(client: ApiClient, name: string): Promise<boolean> {
  try {
    await client.create(resources.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return true;
  } catch (error) {
    if (error instanceof Fault && (error.code === 'AlreadyExists' || error.code === 'Forbidden')) return false;
    throw error;
  }
}
