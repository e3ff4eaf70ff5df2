// Manifests as people write them, for every kind and every source, which a cluster must take as they stand; and those of the documentation.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Manifest {
  readonly title: string;
  /** YAML of one object or several. */
  readonly yaml: string;
}

function dataVolume(title: string, spec: string): Manifest {
  const yaml = `apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nmetadata:\n  name: disk\nspec:\n${indented(spec)}`;
  return { title: `DataVolume: ${title}`, yaml };
}

function custom(kind: string, body: string, group = 'cdi.kubevirt.io'): Manifest {
  const yaml = `apiVersion: ${group}/v1beta1\nkind: ${kind}\nmetadata:\n  name: example\n${body.trim()}\n`;
  return { title: kind, yaml };
}

function indented(text: string): string {
  return text.trim().replaceAll(/^(?=.)/gm, '  ');
}

const storage = 'storage: {resources: {requests: {storage: 10Gi}}}';

const dataVolumes: readonly Manifest[] = [
  dataVolume(
    'http, with everything',
    `
source:
  http:
    url: https://images.example.org/disk.qcow2
    secretRef: login
    certConfigMap: authorities
    extraHeaders: ["X-Token: one"]
    secretExtraHeaders: [headers]
    checksum: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    insecureSkipVerify: false
contentType: kubevirt
preallocation: true
priorityClassName: high
serviceAccountName: importer
storage:
  accessModes: [ReadWriteOnce]
  volumeMode: FromStorageProfile
  storageClassName: longshore
  selector: {matchLabels: {tier: fast}, matchExpressions: [{key: zone, operator: In, values: [a, b]}]}
  resources: {requests: {storage: 1.5Gi}, limits: {storage: 2147483648}}`,
  ),
  dataVolume('s3', `source: {s3: {url: "https://s3.example.org/bucket/disk.raw", secretRef: keys}}\n${storage}`),
  dataVolume('gcs', `source: {gcs: {url: "gs://bucket/disk.raw", secretRef: account}}\n${storage}`),
  dataVolume(
    'registry',
    `source: {registry: {url: "docker://registry.example.org/disk:1", pullMethod: node, platform: {architecture: arm64}}}\n${storage}`,
  ),
  dataVolume('image stream', `source: {registry: {imageStream: fedora, pullMethod: node}}\n${storage}`),
  dataVolume('claim', `source: {pvc: {namespace: images, name: fedora}}\nstorage: {}`),
  dataVolume('snapshot', `source: {snapshot: {namespace: images, name: fedora}}\nstorage: {}`),
  dataVolume('upload', `source: {upload: {}}\n${storage}`),
  dataVolume(
    'blank, with a claim as it is written',
    'source: {blank: {}}\npvc: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}',
  ),
  dataVolume(
    'archive',
    `source: {http: {url: "http://images.example.org/files.tar"}}\ncontentType: archive\n${storage}`,
  ),
  dataVolume(
    'imageio, in stages',
    `
source: {imageio: {url: "https://engine.example.org/ovirt-engine/api", diskId: "1", secretRef: engine, certConfigMap: ca}}
checkpoints: [{previous: "", current: snap-1}, {previous: snap-1, current: snap-2}]
finalCheckpoint: false
${storage}`,
  ),
  dataVolume(
    'vddk',
    `
source:
  vddk: {url: "https://vcenter.example.org", uuid: u, backingFile: "[store] vm/disk.vmdk", thumbprint: "20:6C", secretRef: vcenter,
    initImageURL: "registry.example.org/vddk:8", extraArgs: vddk-settings}
${storage}`,
  ),
  dataVolume('DataSource', `sourceRef: {kind: DataSource, name: fedora, namespace: images}\nstorage: {}`),
  dataVolume(
    'filled by somebody else',
    'storage: {dataSourceRef: {apiGroup: example.org, kind: Filler, name: one}, resources: {requests: {storage: 1Gi}}}',
  ),
];

const others: readonly Manifest[] = [
  custom('DataSource', 'spec: {source: {pvc: {namespace: images, name: fedora-1}}}'),
  custom(
    'DataImportCron',
    `
spec:
  schedule: "30 1 * * 1"
  managedDataSource: fedora
  garbageCollect: Outdated
  importsToKeep: 2
  retentionPolicy: None
  serviceAccountName: importer
  template:
    metadata: {labels: {os: fedora}, annotations: {cdi.kubevirt.io/storage.bind.immediate.requested: "true"}}
    spec:
      source: {registry: {url: "docker://registry.example.org/fedora:latest"}}
      storage: {resources: {requests: {storage: 5Gi}}}`,
  ),
  custom(
    'VolumeImportSource',
    'spec: {source: {http: {url: "http://images.example.org/disk.raw"}}, preallocation: true}',
  ),
  custom('VolumeUploadSource', 'spec: {contentType: kubevirt}'),
  custom('VolumeCloneSource', 'spec: {source: {kind: PersistentVolumeClaim, name: fedora}, priorityClassName: high}'),
  custom(
    'ObjectTransfer',
    'spec: {source: {kind: DataVolume, namespace: a, name: one, requiredAnnotations: {ready: "true"}}, target: {namespace: b}}',
  ),
  custom(
    'StorageProfile',
    'spec: {cloneStrategy: copy, claimPropertySets: [{accessModes: [ReadWriteMany], volumeMode: Block}, {accessModes: [ReadWriteOnce], volumeMode: Filesystem}]}',
  ),
  custom(
    'CDIConfig',
    `
spec:
  uploadProxyURLOverride: https://upload.example.org
  importProxy: {HTTPProxy: "http://proxy.example.org:3128", noProxy: ".svc,10.0.0.0/8", trustedCAProxy: proxy-ca}
  featureGates: [HonorWaitForFirstConsumer]
  filesystemOverhead: {global: "0.06", storageClass: {local: "0"}}
  podResourceRequirements: {requests: {cpu: 100m, memory: 60M}, limits: {cpu: 1, memory: 600M}}
  tlsSecurityProfile: {type: Custom, custom: {ciphers: [ECDHE-RSA-AES128-GCM-SHA256], minTLSVersion: VersionTLS12}}
  imagePullSecrets: [{name: registry}]
  insecureRegistries: ["registry.example.org:5000"]
  preallocation: false
  logVerbosity: 3`,
  ),
  custom(
    'CDI',
    `
spec:
  imagePullPolicy: IfNotPresent
  uninstallStrategy: BlockUninstallIfWorkloadsExist
  infra:
    nodeSelector: {kubernetes.io/os: linux}
    tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]
      podAntiAffinity:
        preferredDuringSchedulingIgnoredDuringExecution:
          - {weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: cdi}}}}
    apiServerReplicas: 2
  workload: {nodeSelector: {kubernetes.io/os: linux}}
  customizeComponents: {flags: {controller: {v: "5"}}, patches: [{resourceType: Deployment, resourceName: cdi-deployment, type: json, patch: "[]"}]}
  certConfig: {ca: {duration: 48h, renewBefore: 24h}, server: {duration: 24h, renewBefore: 12h}}
  config: {featureGates: [HonorWaitForFirstConsumer], tlsSecurityProfile: {type: Modern, modern: {}}}`,
  ),
  custom(
    'OvirtVolumePopulator',
    'spec: {engineUrl: "https://engine.example.org", secretRef: engine, diskId: "1", transferNetwork: migration}',
    'forklift.cdi.kubevirt.io',
  ),
  custom(
    'OpenstackVolumePopulator',
    'spec: {identityUrl: "https://keystone.example.org", secretRef: cloud, imageId: "1"}',
    'forklift.cdi.kubevirt.io',
  ),
];

export const manifests: readonly Manifest[] = [...dataVolumes, ...others];

/** YAML blocks of README and guides that hold objects of our kinds. */
export function manifestsOfDocumentation(): readonly Manifest[] {
  const root = join(import.meta.dirname, '../..');
  const guides = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`);
  return ['README.md', ...guides]
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) => {
      const blocks = [...readFileSync(join(root, path), 'utf8').matchAll(/```ya?ml\n([\s\S]*?)```/g)];
      return blocks
        .map(([, yaml = ''], index) => ({ title: `${path}, block ${index + 1}`, yaml }))
        .filter(({ yaml }) => /^apiVersion: (\w+\.)?cdi\.kubevirt\.io\//m.test(yaml));
    });
}
