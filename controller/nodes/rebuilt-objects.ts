// The objects of a volume whose store was lost, made of what the volume says about itself: the claim with its uid, and for one that was filled the DataVolume,
// which says that nothing is to be brought. Pure.
import { annotations, defaultStorageClassName, volumeFinalizer } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { nameProblem, namespaceProblem } from '../../domain/object-name.ts';
import { formatBytes } from '../../domain/quantity.ts';
import { holdsFiles, isHandedOut, type VolumeRecord } from '../../domain/volume-record.ts';
import { firstAttempt, formatAttemptState } from '../claims/attempt-state.ts';

export interface RebuiltObjects {
  claim: Claim;
  /** Of a volume that was filled. Its spec is empty: nobody knows what it was, and whoever has it may tell it again. */
  dataVolume?: DataVolume;
}

/** @throws Fault VolumeNotFilled where it holds nothing that is anybody's, VolumeCorrupt where no claim can have been its owner */
export function rebuiltObjects(volume: VolumeRecord): RebuiltObjects {
  const { owner, volumeId, state } = volume;
  if (!isHandedOut(state)) throw new Fault('VolumeNotFilled', `${volumeId} is ${state}`);
  const problem = namespaceProblem(owner.namespace) ?? nameProblem(owner.name);
  if (problem !== undefined) throw new Fault('VolumeCorrupt', `${volumeId} has an owner without a name: ${problem}`);
  if (`pvc-${owner.uid}` !== volumeId) throw new Fault('VolumeCorrupt', `${volumeId} is not of its owner ${owner.uid}`);
  const claim = claimOf(volume);
  return state === 'complete' ? { claim, dataVolume: dataVolumeOf(volume) } : { claim };
}

function claimOf(volume: VolumeRecord): Claim {
  const { owner, volumeId, mode, sizeBytes, sectorBytes } = volume;
  const { namespace, name, uid } = owner;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      ...{ namespace, name, uid, finalizers: [volumeFinalizer] },
      annotations: {
        ...(sectorBytes === undefined ? {} : { [annotations.sectorSize]: String(sectorBytes) }),
        ...(volume.state === 'complete' ? filled(volume) : {}),
      },
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: formatBytes(sizeBytes) } },
      ...{ storageClassName: defaultStorageClassName, volumeMode: mode, volumeName: volumeId },
    },
  };
}

/** As the attempt that filled it left it, so that all that is known of the content is told again. */
function filled(volume: VolumeRecord): Record<string, string> {
  const { report, committedAt, fence, owner } = volume;
  const state = {
    ...firstAttempt(report?.format === 'clone' ? 'clone' : 'import'),
    ...{ attempt: Math.max(1, fence), stage: 'succeeded' as const },
    ...(committedAt === undefined ? {} : { committedAt }),
    ...(report === undefined ? {} : { report }),
  };
  return {
    [annotations.contentType]: holdsFiles(volume) ? 'archive' : 'kubevirt',
    [annotations.populatedFor]: owner.name,
    [annotations.attempt]: formatAttemptState(state),
  };
}

function dataVolumeOf({ owner: { namespace, name } }: VolumeRecord): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { namespace, name, annotations: { [annotations.prePopulated]: name } },
    spec: {},
  };
}
