// CDI's admission of DataVolumes: shape, validating rules, and the authorisation of clones.

import { adoptsClaims, validateDataVolume } from '../../domain/admission.ts';
import { annotations } from '../../domain/annotations.ts';
import { withCloneSource, withRequester } from '../../domain/clone-authorization.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { readDataVolume } from '../../domain/data-volume-shape.ts';
import { formatNamedSource, lookUpSourceRef, withSource } from '../../domain/named-source.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { quantityBytes } from '../../domain/quantity.ts';
import { resources } from '../../domain/resources.ts';
import { chooseStorageClass } from '../../domain/storage-defaults.ts';
import { authorizeClone } from './clone-requester.ts';
import { refusedAdmission, refusedShape } from './kube-status.ts';
import type { ApiContext, WriteOptions } from './request-context.ts';
import { keepStated } from './stated-annotations.ts';
import { refuseTooLarge } from './volume-limit.ts';

function read(asked: KubeObject): DataVolume {
  const result = readDataVolume(asked);
  if ('causes' in result) throw refusedShape(resources.dataVolumes, asked.metadata.name, result.causes);
  return result.dataVolume;
}

/** @throws Fault InvalidRequest, VolumeTooLarge */
export async function admitDataVolume(
  given: KubeObject,
  context: ApiContext,
  options: WriteOptions,
): Promise<KubeObject> {
  const dataVolume = keepStated(read(given), undefined, options.identity);
  const { namespace = '', name } = dataVolume.metadata;
  const causes = validateDataVolume(dataVolume, {
    operation: 'create',
    claim: await context.store.get(resources.claims, { namespace, name }),
    adoptsClaims: adoptsClaims(await context.store.get(resources.cdiConfigs, { name: 'config' })),
  });
  if (causes.length > 0) throw refusedAdmission(causes);
  const named = await lookUpSourceRef(dataVolume, (place) => context.store.get(resources.dataSources, place));
  if (named !== undefined && 'causes' in named) throw refusedAdmission(named.causes);
  const asked = named === undefined ? dataVolume : withSource(dataVolume, named.source);
  const requester = authorizeClone(asked, { ...options, ...context });
  await refuseTooLargeOf(dataVolume, context);
  return withCloneSource(withRequester(dataVolume, requester), named && formatNamedSource(named.source));
}

/** @throws Fault VolumeTooLarge */
async function refuseTooLargeOf({ metadata, spec }: DataVolume, context: ApiContext): Promise<void> {
  const wish = spec.storage ?? spec.pvc;
  const sizeBytes = quantityBytes(wish?.resources?.requests?.['storage'] ?? 0) ?? 0;
  const { items } = await context.store.list(resources.storageClasses);
  const storageClass = chooseStorageClass(items, wish?.storageClassName, spec.contentType ?? '');
  refuseTooLarge({ metadata, storageClass, sizeBytes }, context);
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
  const { [annotations.requester]: kept, [annotations.cloneSource]: source } = former.metadata.annotations ?? {};
  const requester = kept ?? authorizeClone(dataVolume, { ...options, ...context });
  return withCloneSource(withRequester(dataVolume, requester), source);
}
