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
  importExtraHeaders: cdi('storage.import.extraHeaders'),
  importSecretExtraHeaders: cdi('storage.import.secretExtraHeaders'),
  importDiskId: cdi('storage.import.diskId'),
  importUuid: cdi('storage.import.uuid'),
  importBackingFile: cdi('storage.import.backingFile'),
  importThumbprint: cdi('storage.import.vddk.thumbprint'),
  importVddkInitImageUrl: cdi('storage.pod.vddk.initimageurl'),
  importVddkExtraArgs: cdi('storage.pod.vddk.extraargs'),
  importRegistryMethod: cdi('storage.import.registryImportMethod'),
  importRegistryImageStream: cdi('storage.import.registryImageStream'),
  importRegistryArchitecture: cdi('storage.import.registryImageArchitecture'),
  importFatalError: cdi('storage.import.fatalError'),
  cloneRequest: 'k8s.io/CloneRequest',
  cloneOf: 'k8s.io/CloneOf',
  cloneToken: cdi('storage.clone.token'),
  extendedCloneToken: cdi('storage.extended.clone.token'),
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
  checkStaticVolume: cdi('storage.checkStaticVolume'),
  allowClaimAdoption: cdi('allowClaimAdoption'),
  bindImmediate: cdi('storage.bind.immediate.requested'),
  usePopulator: cdi('storage.usePopulator'),
  populatorPrime: cdi('storage.populator.pvcPrime'),
  deleteAfterCompletion: cdi('storage.deleteAfterCompletion'),
  priorityClassName: cdi('storage.pod.priorityclassname'),
  serviceAccountName: cdi('storage.pod.serviceAccountName'),
  // Storage classes and their profiles
  cloneStrategy: cdi('clone-strategy'),
  minimumSupportedPvcSize: cdi('minimumSupportedPvcSize'),
  // Of a CDI object: its `config` is the spec of CDIConfig
  configAuthority: cdi('configAuthority'),
  // Of a DataImportCron and its imports
  sourceDesiredDigest: cdi('storage.import.sourceDesiredDigest'),
  nextCronTime: cdi('storage.import.nextCronTime'),
  lastCronTime: cdi('storage.import.lastCronTime'),
  lastUseTime: cdi('storage.import.lastUseTime'),
  importStorageClass: cdi('storage.import.storageClass'),
  // Kubernetes
  selectedNode: 'volume.kubernetes.io/selected-node',
  defaultStorageClass: 'storageclass.kubernetes.io/is-default-class',
  defaultVirtStorageClass: 'storageclass.kubevirt.io/is-default-virt-class',
  // Ours: wishes on a DataVolume or claim
  checksum: 'longshore.dev/checksum',
  cancel: 'longshore.dev/cancel',
  /** How the volume gets its blocks: none, falloc or full; over `spec.preallocation`. See preallocate-wish.ts. */
  preallocate: 'longshore.dev/preallocate',
  /** Of the device of a Block claim: 512 or 4096; over what the class says. */
  sectorSize: 'longshore.dev/sector-size',
  /** Name of the pool that the volume is to be in; a fact once it is made. */
  pool: 'longshore.dev/pool',
  // Ours: facts
  requester: 'longshore.dev/requester',
  /** `namespace/name` of the claim that a DataVolume clones whose source is a DataSource: what that named when it was looked up, and what was authorised. */
  cloneSource: 'longshore.dev/clone-source',
  /** What a DataImportCron found when it looked last; see domain/source-look.ts. */
  sourceLook: 'longshore.dev/source-look',
  path: 'longshore.dev/path',
  /** On a namespace that every store has: the store is new, and what its pools hold was not all looked at yet. */
  rebuild: 'longshore.dev/rebuild',
  /** State of the attempt that fills a claim; see controller/claims/attempt-state.ts. */
  attempt: 'longshore.dev/attempt',
} as const;

/** What only the service says of a claim. Users neither set nor change it, lest an empty volume be taken for a filled one. */
export const statedAnnotations: readonly string[] = [
  annotations.podPhase,
  annotations.podReady,
  annotations.podRestarts,
  annotations.importFatalError,
  annotations.preallocation,
  annotations.cloneOf,
  annotations.runningCondition,
  annotations.runningConditionMessage,
  annotations.runningConditionReason,
  annotations.boundCondition,
  annotations.boundConditionMessage,
  annotations.boundConditionReason,
  annotations.path,
  annotations.attempt,
];

/** Keeps a claim until its volume is gone. */
export const volumeFinalizer = 'longshore.dev/volume';

export const labels = {
  app: 'app',
  managedBy: 'app.kubernetes.io/managed-by',
  component: 'app.kubernetes.io/component',
  applyStorageProfile: cdi('applyStorageProfile'),
  dataImportCron: cdi('dataImportCron'),
  /** The object goes with its DataImportCron. */
  dataImportCronCleanup: cdi('dataImportCron.cleanup'),
  fillingUp: 'alerts.k8s.io/KubePersistentVolumeFillingUp',
} as const;

/** Name of our provisioner and CSI driver, and of the storage class that a new service has. */
export const provisionerName = 'csi.longshore.dev';
export const defaultStorageClassName = 'longshore';
