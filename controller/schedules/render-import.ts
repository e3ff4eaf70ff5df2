// The objects that a DataImportCron makes: a DataVolume for each version of its source, and the DataSource that names the newest. Pure. Labels say whose
// they are, as CDI's do; those by which KubeVirt chooses instance types are passed on.
import { annotations, labels, statedAnnotations } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataSource } from '../../domain/custom-resources/data-source.ts';
import type { DataVolume, DataVolumeSource } from '../../domain/data-volume.ts';
import { isImageDigest } from '../../domain/image-reference.ts';
import { pinnedReference } from '../../domain/source-version.ts';

const apiVersion = 'cdi.kubevirt.io/v1beta1';

const passedOn: readonly string[] = [
  ...['default-instancetype', 'default-instancetype-kind', 'default-preference', 'default-preference-kind'].map(
    (name) => `instancetype.kubevirt.io/${name}`,
  ),
  'kubevirt.io/dynamic-credentials-support',
];

/** What only the service says of a DataVolume or its claim; a template cannot say it. */
const notInherited: ReadonlySet<string> = new Set([
  ...statedAnnotations,
  annotations.requester,
  annotations.cloneSource,
  annotations.populatedFor,
  annotations.prePopulated,
]);

/** The labels of something that the cron keeps, with those that it has already. */
export function keptLabels(cron: DataImportCron, own: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { [labels.dataImportCronCleanup]: _cleanup, ...others } = own;
  const given = Object.entries(cron.metadata.labels ?? {}).filter(([name]) => passedOn.includes(name));
  return {
    ...others,
    ...Object.fromEntries(given),
    [labels.managedBy]: 'cdi-controller',
    [labels.component]: 'storage',
    [labels.dataImportCron]: cron.metadata.name,
    ...(cron.spec.retentionPolicy === 'None' ? { [labels.dataImportCronCleanup]: 'true' } : {}),
  };
}

/** What is imported at that digest, under that name. */
export function renderImport(
  cron: DataImportCron,
  { name, digest }: { name: string; digest: string },
  { now, storageClass }: { now: Date; storageClass: string | undefined },
): DataVolume {
  const { metadata: template = {}, spec } = cron.spec.template;
  const inherited = Object.entries(template.annotations ?? {}).filter(([annotation]) => !notInherited.has(annotation));
  const requester = cron.metadata.annotations?.[annotations.requester];
  return {
    ...{ apiVersion, kind: 'DataVolume' },
    metadata: {
      ...(cron.metadata.namespace === undefined ? {} : { namespace: cron.metadata.namespace }),
      name,
      labels: keptLabels(cron, template.labels),
      annotations: {
        ...Object.fromEntries(inherited),
        [annotations.bindImmediate]: 'true',
        [annotations.lastUseTime]: now.toISOString(),
        ...(storageClass === undefined ? {} : { [annotations.importStorageClass]: storageClass }),
        ...(requester === undefined ? {} : { [annotations.requester]: requester }),
      },
    },
    spec: spec.source === undefined ? spec : { ...spec, source: atDigest(spec.source, digest) },
  };
}

/** An image of a registry is asked for by its digest; others are what they are when they are asked for. */
function atDigest(source: DataVolumeSource, digest: string): DataVolumeSource {
  const { registry } = source;
  if (registry?.url === undefined || !isImageDigest(digest)) return source;
  return { ...source, registry: { ...registry, url: pinnedReference(registry.url, digest) } };
}

/** The DataSource as the cron wants it; one that nobody manages is left as it is, and so is one that is being deleted. */
export function renderDataSource(cron: DataImportCron, before: DataSource | undefined): DataSource {
  const { lastImportedPVC: pvc } = cron.status ?? {};
  const { namespace } = cron.metadata;
  const named = { ...(namespace === undefined ? {} : { namespace }), name: cron.spec.managedDataSource };
  if (before === undefined) {
    const source = pvc === undefined ? {} : { pvc };
    return { apiVersion, kind: 'DataSource', metadata: { ...named, labels: keptLabels(cron) }, spec: { source } };
  }
  const manager = before.metadata.labels?.[labels.dataImportCron] ?? '';
  if (manager === '' || before.metadata.deletionTimestamp !== undefined) return before;
  const metadata = { ...before.metadata, labels: keptLabels(cron, before.metadata.labels) };
  return { ...before, metadata, spec: pvc === undefined ? before.spec : { source: { pvc } } };
}
