// DataVolumes of the chart's class, as tests on a cluster create them.

/** Bound at once, not with the first pod that uses it. */
export const immediate = { 'cdi.kubevirt.io/storage.bind.immediate.requested': '' };

export interface DataVolumeWish {
  namespace: string;
  name: string;
  /** Default: blank. */
  source?: object;
  /** A quantity. Default: small. */
  size?: string;
  /** Default: that of the class. */
  volumeMode?: 'Filesystem' | 'Block';
  /** Default: immediate binding. */
  annotations?: object;
}

export function dataVolumeOf({
  namespace,
  name,
  source = { blank: {} },
  size = '16Mi',
  volumeMode,
  annotations = immediate,
}: DataVolumeWish): object {
  const mode = volumeMode === undefined ? {} : { volumeMode };
  const storage = { storageClassName: 'longshore', ...mode, resources: { requests: { storage: size } } };
  return {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { namespace, name, annotations } },
    spec: { source, storage },
  };
}
