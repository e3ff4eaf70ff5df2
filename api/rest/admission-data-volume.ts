// CDI's admission of DataVolumes: shape, validating rules, and the authorisation of clones.

import { adoptsClaims, validateDataVolume } from '../../domain/admission.ts';
import { annotations } from '../../domain/annotations.ts';
import { withRequester } from '../../domain/clone-authorization.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { readDataVolume } from '../../domain/data-volume-shape.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { authorizeClone } from './clone-requester.ts';
import { refusedAdmission, refusedShape } from './kube-status.ts';
import type { ApiContext, WriteOptions } from './request-context.ts';
import { keepStated } from './stated-annotations.ts';

function read(asked: KubeObject): DataVolume {
  const result = readDataVolume(asked);
  if ('causes' in result) throw refusedShape(resources.dataVolumes, asked.metadata.name, result.causes);
  return result.dataVolume;
}

/** @throws Fault InvalidRequest */
export async function admitDataVolume(
  asked: KubeObject,
  context: ApiContext,
  options: WriteOptions,
): Promise<KubeObject> {
  const dataVolume = keepStated(read(asked), undefined, options.identity);
  const { namespace = '', name } = dataVolume.metadata;
  const causes = validateDataVolume(dataVolume, {
    operation: 'create',
    claim: await context.store.get(resources.claims, { namespace, name }),
    adoptsClaims: adoptsClaims(await context.store.get(resources.cdiConfigs, { name: 'config' })),
  });
  if (causes.length > 0) throw refusedAdmission(causes);
  return withRequester(dataVolume, authorizeClone(dataVolume, { ...options, ...context }));
}

/** @throws Fault InvalidRequest */
export function admitDataVolumeUpdate(
  asked: KubeObject,
  stored: KubeObject,
  context: ApiContext,
  options: WriteOptions,
): KubeObject {
  const [dataVolume, former] = [keepStated(read(asked), stored, options.identity), stored];
  // Safe: stored by this API under the same rules.
  const causes = validateDataVolume(dataVolume, { operation: 'update', former: former as DataVolume });
  if (causes.length > 0) throw refusedAdmission(causes);
  // A clone that was let in unauthorised, because nothing was to be copied, is asked again: the reason may be gone with this update.
  const kept = former.metadata.annotations?.[annotations.requester];
  return withRequester(dataVolume, kept ?? authorizeClone(dataVolume, { ...options, ...context }));
}
