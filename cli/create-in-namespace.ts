// Asks the service for an object; a namespace that does not exist yet is made first, so that a newcomer's first line works.
import { Fault } from '../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { ApiClient } from './api-client.ts';
import type { Output } from './command-io.ts';

/** @throws Fault AlreadyExists, InvalidRequest, Forbidden; NotFound where the namespace is missing and the user may not make it */
export async function createInNamespace<T extends KubeObject>(
  client: ApiClient,
  resource: ResourceRef<T>,
  asked: T,
  stderr: Output,
): Promise<T> {
  const namespace = asked.metadata.namespace ?? 'default';
  try {
    return await client.create(resource, asked);
  } catch (error) {
    const missing = error instanceof Fault && error.code === 'NotFound';
    if (!missing || !(await makeNamespace(client, namespace))) throw error;
    stderr.write(`namespace ${namespace}: created\n`);
    return client.create(resource, asked);
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
