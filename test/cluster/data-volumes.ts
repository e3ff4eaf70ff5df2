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
  /** Default: immediate binding. */
  annotations?: object;
}

export function dataVolumeOf({
  namespace,
  name,
  source = { blank: {} },
  size = '16Mi',
  annotations = immediate,
}: DataVolumeWish): object {
  const storage = { storageClassName: 'longshore', resources: { requests: { storage: size } } };
  return {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { namespace, name, annotations } },
    spec: { source, storage },
  };
}
