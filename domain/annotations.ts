// Names of the annotations and labels that CDI's clients read and write (prefix cdi.kubevirt.io/), Kubernetes' own, and ours.
const cdi = (name: string): string => `cdi.kubevirt.io/${name}`;

export const annotations = {
  // The claim, as virtctl and consumers read it
  podPhase: cdi('storage.pod.phase'),
  podReady: cdi('storage.pod.ready'),
  podRestarts: cdi('storage.pod.restarts'),
  contentType: cdi('storage.contentType'),
  uploadTarget: cdi('storage.upload.target'),
  importEndpoint: cdi('storage.import.endpoint'),
  importSource: cdi('storage.import.source'),
  importSecretName: cdi('storage.import.secretName'),
  importCertConfigMap: cdi('storage.import.certConfigMap'),
  importChecksum: cdi('storage.import.checksum'),
  importInsecureSkipVerify: cdi('storage.import.insecureSkipVerify'),
  importFatalError: cdi('storage.import.fatalError'),
  cloneRequest: 'k8s.io/CloneRequest',
  cloneOf: 'k8s.io/CloneOf',
  cloneToken: cdi('storage.clone.token'),
  cloneType: cdi('cloneType'),
  preallocationRequested: cdi('storage.preallocation.requested'),
  preallocation: cdi('storage.preallocation'),
  runningCondition: cdi('storage.condition.running'),
  runningConditionMessage: cdi('storage.condition.running.message'),
  runningConditionReason: cdi('storage.condition.running.reason'),
  boundCondition: cdi('storage.condition.bound'),
  boundConditionMessage: cdi('storage.condition.bound.message'),
  boundConditionReason: cdi('storage.condition.bound.reason'),
  createdForDataVolume: cdi('createdForDataVolume'),
  populatedFor: cdi('storage.populatedFor'),
  prePopulated: cdi('storage.prePopulated'),
  allowClaimAdoption: cdi('allowClaimAdoption'),
  bindImmediate: cdi('storage.bind.immediate.requested'),
  usePopulator: cdi('storage.usePopulator'),
  deleteAfterCompletion: cdi('storage.deleteAfterCompletion'),
  priorityClassName: cdi('storage.pod.priorityclassname'),
  serviceAccountName: cdi('storage.pod.serviceAccountName'),
  // Kubernetes
  selectedNode: 'volume.kubernetes.io/selected-node',
  defaultStorageClass: 'storageclass.kubernetes.io/is-default-class',
  defaultVirtStorageClass: 'storageclass.kubevirt.io/is-default-virt-class',
  // Ours: wishes on a DataVolume or claim
  checksum: 'longshore.dev/checksum',
  cancel: 'longshore.dev/cancel',
  // Ours: facts
  requester: 'longshore.dev/requester',
  path: 'longshore.dev/path',
} as const;

/** Keeps a claim until its volume is gone. */
export const volumeFinalizer = 'longshore.dev/volume';

export const labels = {
  app: 'app',
  managedBy: 'app.kubernetes.io/managed-by',
  component: 'app.kubernetes.io/component',
  applyStorageProfile: cdi('applyStorageProfile'),
  fillingUp: 'alerts.k8s.io/KubePersistentVolumeFillingUp',
} as const;

/** Name of our provisioner and CSI driver, and of the storage class that a new service has. */
export const provisionerName = 'csi.longshore.dev';
export const defaultStorageClassName = 'longshore';
