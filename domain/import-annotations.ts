// The annotations by which CDI tells, on a claim, where its content comes from. Empty members are left out, except where CDI writes them.
import { annotations } from './annotations.ts';
import type { DataVolumeSource } from './data-volume.ts';

type Annotations = Record<string, string>;

/** The members that have a value, under their annotation's name. */
function given(members: Readonly<Record<string, string | undefined>>): Annotations {
  const entries = Object.entries(members).filter((entry): entry is [string, string] => (entry[1] ?? '') !== '');
  return Object.fromEntries(entries);
}

function numbered(name: string, values: readonly string[] = []): Annotations {
  return Object.fromEntries(values.map((value, index) => [`${name}.${index}`, value]));
}

function fromHttp(http: NonNullable<DataVolumeSource['http']>): Annotations {
  return {
    [annotations.importEndpoint]: http.url,
    [annotations.importSource]: 'http',
    ...given({
      [annotations.importSecretName]: http.secretRef,
      [annotations.importCertConfigMap]: http.certConfigMap,
      [annotations.importChecksum]: http.checksum,
      [annotations.importInsecureSkipVerify]: http.insecureSkipVerify === true ? 'true' : undefined,
    }),
    ...numbered(annotations.importExtraHeaders, http.extraHeaders),
    ...numbered(annotations.importSecretExtraHeaders, http.secretExtraHeaders),
  };
}

function fromObjectStore(kind: 's3' | 'gcs', source: { url: string; secretRef?: string; certConfigMap?: string }) {
  return {
    [annotations.importEndpoint]: source.url,
    [annotations.importSource]: kind,
    ...given({
      [annotations.importSecretName]: source.secretRef,
      [annotations.importCertConfigMap]: source.certConfigMap,
    }),
  };
}

function fromRegistry(registry: NonNullable<DataVolumeSource['registry']>): Annotations {
  const hasUrl = (registry.url ?? '') !== '';
  return {
    [annotations.importSource]: 'registry',
    ...given({
      [annotations.importEndpoint]: hasUrl ? registry.url : registry.imageStream,
      [annotations.importRegistryImageStream]: !hasUrl && (registry.imageStream ?? '') !== '' ? 'true' : undefined,
      [annotations.importRegistryMethod]: registry.pullMethod,
      [annotations.importSecretName]: registry.secretRef,
      [annotations.importCertConfigMap]: registry.certConfigMap,
      [annotations.importRegistryArchitecture]: registry.platform?.architecture,
    }),
  };
}

function fromImageio(imageio: NonNullable<DataVolumeSource['imageio']>): Annotations {
  return {
    [annotations.importEndpoint]: imageio.url,
    [annotations.importSource]: 'imageio',
    [annotations.importSecretName]: imageio.secretRef ?? '',
    [annotations.importCertConfigMap]: imageio.certConfigMap ?? '',
    [annotations.importDiskId]: imageio.diskId,
    ...given({ [annotations.importInsecureSkipVerify]: imageio.insecureSkipVerify === true ? 'true' : undefined }),
  };
}

function fromVddk(vddk: NonNullable<DataVolumeSource['vddk']>): Annotations {
  return {
    [annotations.importEndpoint]: vddk.url ?? '',
    [annotations.importSource]: 'vddk',
    [annotations.importSecretName]: vddk.secretRef ?? '',
    [annotations.importBackingFile]: vddk.backingFile ?? '',
    [annotations.importUuid]: vddk.uuid ?? '',
    [annotations.importThumbprint]: vddk.thumbprint ?? '',
    ...given({
      [annotations.importCertConfigMap]: vddk.certConfigMap,
      [annotations.importVddkInitImageUrl]: vddk.initImageURL,
      [annotations.importVddkExtraArgs]: vddk.extraArgs,
    }),
  };
}

/** Annotations of a claim whose DataVolume has that source. @param namespace of the DataVolume, for a clone that names none */
export function sourceAnnotations(source: DataVolumeSource, namespace: string): Annotations {
  if (source.http !== undefined) return fromHttp(source.http);
  if (source.s3 !== undefined) return fromObjectStore('s3', source.s3);
  if (source.gcs !== undefined) return fromObjectStore('gcs', source.gcs);
  if (source.registry !== undefined) return fromRegistry(source.registry);
  if (source.imageio !== undefined) return fromImageio(source.imageio);
  if (source.vddk !== undefined) return fromVddk(source.vddk);
  if (source.blank !== undefined) return { [annotations.importSource]: 'none' };
  if (source.upload !== undefined) return { [annotations.uploadTarget]: '' };
  if (source.pvc === undefined) return {};
  const from = source.pvc.namespace === '' ? namespace : source.pvc.namespace;
  return { [annotations.cloneRequest]: `${from}/${source.pvc.name}` };
}
