// What Longshore does besides keeping objects: the digest of a volume as it is now, what a source serves, and what lies on the pools without an owner. And the
// one thing it never has: pods, for which `kubectl describe pvc` looks.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { checkSource } from '../../domain/admission-source.ts';
import { DataVolumeSource } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { allowedBy, hangUpOf, isTrue, paramOf, queryOf, requireAllowed } from './api-request.ts';
import type { ApiContext } from './request-context.ts';

const group = { group: 'longshore.dev', version: 'v1alpha1' };
const dataVolumes: ResourceRef = { ...group, plural: 'datavolumes', kind: 'DataVolume', namespaced: true };
const doctor: ResourceRef = { ...group, plural: 'doctor', kind: 'Doctor', namespaced: false };

const ProbeRequest = Compile(Type.Object({ spec: Type.Object({ source: DataVolumeSource }) }));

const pods: ResourceRef = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true };

const done = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };

/** @throws Fault InvalidRequest */
function findingOf(request: FastifyRequest): { node: string; pool: string; path: string } {
  const { node, pool, path } = queryOf(request);
  if (node === undefined || pool === undefined || path === undefined) {
    throw new Fault('InvalidRequest', 'node, pool and path of the finding are asked for');
  }
  return { node, pool, path };
}

export function registerOperations(app: FastifyInstance, context: ApiContext): void {
  app.get('/apis/longshore.dev/v1alpha1/namespaces/:namespace/datavolumes/:name/digest', (request, reply) => {
    const [namespace = '', name = ''] = [paramOf(request, 'namespace'), paramOf(request, 'name')];
    requireAllowed(request, 'get', { resource: dataVolumes, subresource: 'digest', namespace, name });
    return context.operations.digest(namespace, name, isTrue(queryOf(request)['sha256']), hangUpOf(reply));
  });
  // Who may make a volume from a source may let the service look at it first; nothing is kept.
  const mayProbe = allowedBy((request) => {
    const namespace = paramOf(request, 'namespace') ?? '';
    requireAllowed(request, 'create', { resource: resources.dataVolumes, namespace });
  });
  app.post('/apis/longshore.dev/v1alpha1/namespaces/:namespace/imageprobes', mayProbe, async (request, reply) => {
    const { body } = request;
    if (!ProbeRequest.Check(body)) throw new Fault('InvalidRequest', 'spec.source: the source of a DataVolume');
    const { spec } = body;
    const [cause] = checkSource(spec.source, undefined);
    if (cause !== undefined) throw new Fault('InvalidRequest', cause.message);
    return {
      apiVersion: 'longshore.dev/v1alpha1',
      kind: 'ImageProbe',
      spec,
      status: await context.operations.probe(spec.source, paramOf(request, 'namespace') ?? '', hangUpOf(reply)),
    };
  });
  app.get('/apis/longshore.dev/v1alpha1/doctor', (request) => {
    requireAllowed(request, 'get', { resource: doctor });
    return context.operations.doctor();
  });
  app.delete('/apis/longshore.dev/v1alpha1/doctor', async (request) => {
    requireAllowed(request, 'delete', { resource: doctor });
    await context.operations.removeFinding(findingOf(request));
    return done;
  });
  // A claim that comes back may be of any namespace.
  app.post('/apis/longshore.dev/v1alpha1/doctor', async (request) => {
    requireAllowed(request, 'create', { resource: doctor });
    await context.operations.restoreFinding(findingOf(request));
    return done;
  });
  app.get('/api/v1/namespaces/:namespace/pods', (request) => {
    requireAllowed(request, 'list', { resource: pods, namespace: paramOf(request, 'namespace') ?? '' });
    return { kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: context.store.version }, items: [] };
  });
}
