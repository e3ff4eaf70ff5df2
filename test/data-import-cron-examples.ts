// A DataImportCron for tests: it looks at a web server once an hour.
import type { DataImportCron, DataImportCronSpec } from '../domain/custom-resources/data-import-cron.ts';
import type { DataVolumeSource } from '../domain/data-volume.ts';

export const cronSource: DataVolumeSource = { http: { url: 'https://example.com/disk.qcow2' } };

export function cronOf(
  spec: Partial<DataImportCronSpec> & { source?: DataVolumeSource } = {},
  annotations: Record<string, string> = {},
): DataImportCron {
  const { source = cronSource, ...others } = spec;
  const template = { spec: { source, storage: { resources: { requests: { storage: '1Mi' } } } } };
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataImportCron',
    metadata: { namespace: 'default', name: 'fedora-cron', uid: 'cron-uid', annotations },
    spec: { template, schedule: '0 * * * *', managedDataSource: 'fedora', ...others },
  };
}
