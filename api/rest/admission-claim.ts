// What a claim must be, as Kubernetes' own validation says, and what it gets where it says nothing: storage class and volume mode, and
// what its label asks of the storage profile.
import { isDeepStrictEqual } from 'node:util';
import { annotations, provisionerName } from '../../domain/annotations.ts';
import { type Cause, invalid } from '../../domain/cause.ts';
import { withRequester } from '../../domain/clone-authorization.ts';
import { Fault } from '../../domain/fault.ts';
import type { Claim, ClaimSpec, StorageClass } from '../../domain/kube-shapes.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { checkPreallocateWish } from '../../domain/preallocate-wish.ts';
import { byChannel } from '../../domain/provisioning.ts';
import { quantityBytes } from '../../domain/quantity.ts';
import { volumeNameProblem } from '../../domain/render-claim.ts';
import { resources } from '../../domain/resources.ts';
import { chooseStorageClass } from '../../domain/storage-defaults.ts';
import { completeLabelledClaim } from '../../runtime/labelled-claim.ts';
import { authorizeClaimClone } from './clone-requester.ts';
import { refusedShape } from './kube-status.ts';
import type { ApiContext, WriteOptions } from './request-context.ts';
import { keepStated } from './stated-annotations.ts';
import { refuseTooLarge } from './volume-limit.ts';

const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
const volumeModes = ['Block', 'Filesystem'];

function quoted(values: readonly string[]): string {
  return values.map((value) => `"${value}"`).join(', ');
}

function unsupported(field: string, value: string, known: readonly string[]): Cause {
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${quoted(known)}`;
  return { type: 'FieldValueNotSupported', field, message };
}

function required(field: string, detail = ''): Cause {
  return { type: 'FieldValueRequired', field, message: detail === '' ? 'Required value' : `Required value: ${detail}` };
}

function sizeCauses(spec: ClaimSpec): Cause[] {
  const size = spec.resources?.requests?.['storage'];
  if (size === undefined) return [required('spec.resources[storage]')];
  const bytes = quantityBytes(size);
  const field = 'spec.resources[storage]';
  if (bytes === undefined) return [invalid(field, `Invalid value: ${JSON.stringify(size)}: must be a quantity`)];
  return bytes > 0 ? [] : [invalid(field, `Invalid value: ${JSON.stringify(size)}: must be greater than zero`)];
}

function claimCauses(spec: ClaimSpec): Cause[] {
  const modes = spec.accessModes ?? [];
  const mode = spec.volumeMode ?? 'Filesystem';
  return [
    ...(modes.length === 0 ? [required('spec.accessModes', 'at least 1 access mode is required')] : []),
    ...modes
      .filter((given) => !accessModes.includes(given))
      .map((given) => unsupported('spec.accessModes', given, accessModes)),
    ...sizeCauses(spec),
    ...(volumeModes.includes(mode) ? [] : [unsupported('spec.volumeMode', mode, volumeModes)]),
  ];
}

/** @throws Fault InvalidRequest where the claim asks to be completed from its class, and cannot be */
async function withDefaults(claim: Claim, { store }: ApiContext): Promise<Claim> {
  const completed = await completeLabelledClaim(claim, store, byChannel);
  if ('problem' in completed) throw new Fault('InvalidRequest', completed.problem.message);
  const { spec } = completed;
  const { items } = await store.list(resources.storageClasses);
  const contentType = claim.metadata.annotations?.[annotations.contentType] ?? '';
  const storageClassName = spec.storageClassName ?? chooseStorageClass(items, undefined, contentType)?.metadata.name;
  return {
    ...claim,
    spec: {
      ...spec,
      ...(storageClassName === undefined ? {} : { storageClassName }),
      volumeMode: spec.volumeMode ?? 'Filesystem',
    },
  };
}

/** Which volume a claim of our own classes gets is the service's to say. */
async function volumeNameCauses({ spec }: Claim, context: ApiContext): Promise<Cause[]> {
  const { storageClassName = '', volumeName = '' } = spec;
  if (volumeName === '') return [];
  const storageClass = await context.store.get(resources.storageClasses, { name: storageClassName });
  if (storageClass?.provisioner !== provisionerName) return [];
  return [invalid('spec.volumeName', `Forbidden: ${volumeNameProblem(storageClassName)}`)];
}

/** @throws Fault InvalidRequest */
export async function admitClaim(asked: KubeObject, context: ApiContext, options: WriteOptions): Promise<KubeObject> {
  // Safe: checked against the schema of claims before.
  const claim = { ...asked, spec: asked['spec'] ?? {} } as Claim;
  const full = await withDefaults(keepStated(claim, undefined, options.identity), context);
  const causes = [
    ...claimCauses(full.spec),
    ...(await volumeNameCauses(full, context)),
    ...checkPreallocateWish(full.metadata),
  ];
  if (causes.length > 0) throw refusedShape(resources.claims, asked.metadata.name, causes);
  refuseTooLarge({ ...full, storageClass: classOf(full, context), sizeBytes: sizeOf(full.spec) }, context);
  const requester = authorizeClaimClone(full, { ...options, ...context });
  return withRequester(full, requester);
}

function fixedPart(spec: ClaimSpec): unknown {
  const { resources: _resources, volumeAttributesClassName: _attributes, ...fixed } = spec;
  return JSON.parse(JSON.stringify(fixed));
}

function sizeOf(spec: ClaimSpec): number {
  return quantityBytes(spec.resources?.requests?.['storage'] ?? 0) ?? 0;
}

/** A wish to grow that cannot be met may be taken back, down to what the volume has more than (as Kubernetes since 1.34). */
function isShrunk(next: Claim, former: Claim): boolean {
  const has = quantityBytes(former.status?.capacity?.['storage'] ?? 0) ?? 0;
  const wished = sizeOf(next.spec);
  return wished < sizeOf(former.spec) && (former.status?.phase !== 'Bound' || wished <= has || has === 0);
}

function classOf({ spec }: Claim, { store }: ApiContext): StorageClass | undefined {
  return store.latest(resources.storageClasses, { name: spec.storageClassName ?? '' });
}

/** As the admission plugin PersistentVolumeClaimResize has it. @throws Fault Forbidden, VolumeTooLarge */
function refuseGrowth(next: Claim, former: Claim, context: ApiContext): void {
  if (sizeOf(next.spec) <= sizeOf(former.spec)) return;
  const refused = (why: string) =>
    new Fault('Forbidden', `persistentvolumeclaims "${former.metadata.name}" is forbidden: ${why}`);
  if (former.status?.phase !== 'Bound') throw refused('Only bound persistent volume claims can be expanded');
  const storageClass = classOf(former, context);
  if (storageClass?.allowVolumeExpansion !== true) {
    throw refused(
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    );
  }
  refuseTooLarge({ ...former, storageClass, sizeBytes: sizeOf(next.spec) }, context);
}

/** @throws Fault InvalidRequest where anything but resources changes, or the size shrinks; Forbidden where it grows and cannot */
export function admitClaimUpdate(
  asked: KubeObject,
  stored: KubeObject,
  context: ApiContext,
  options: WriteOptions,
): KubeObject {
  // Safe: both were checked against the schema of claims.
  const [wished, former] = [{ ...asked, spec: asked['spec'] ?? {} } as Claim, stored as Claim];
  const next = keepStated(wished, former, options.identity);
  const { name } = stored.metadata;
  if (!isDeepStrictEqual(fixedPart(next.spec), fixedPart(former.spec))) {
    const message =
      'Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';
    throw refusedShape(resources.claims, name, [{ type: 'FieldValueInvalid', field: 'spec', message }]);
  }
  const causes = claimCauses(next.spec);
  if (causes.length === 0 && isShrunk(next, former)) {
    causes.push(invalid('spec.resources.requests.storage', 'Forbidden: field can not be less than status.capacity'));
  }
  if (causes.length > 0) throw refusedShape(resources.claims, name, causes);
  refuseGrowth(next, former, context);
  const request = (claim: Claim): string | undefined => claim.metadata.annotations?.[annotations.cloneRequest];
  const kept = former.metadata.annotations?.[annotations.requester];
  const changed = request(next) !== request(former);
  return withRequester(next, changed ? authorizeClaimClone(next, { ...options, ...context }) : kept);
}
