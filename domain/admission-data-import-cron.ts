// Whether a DataImportCron may be created or changed: CDI's rules with its messages, and for the DataVolumes that it is going to make those of any
// DataVolume, so that a schedule never asks for what cannot be. Besides the sources of CDI, http, s3 and gcs may be looked at.
import { isDeepStrictEqual } from 'node:util';
import { sameForm, validateDataVolume } from './admission.ts';
import { type Cause, invalid } from './cause.ts';
import { isCronSchedule } from './cron-schedule.ts';
import type { DataImportCron, DataImportCronSpec } from './custom-resources/data-import-cron.ts';
import type { DataVolume, DataVolumeSource } from './data-volume.ts';
import { nameProblem } from './object-name.ts';

/** A label holds the name. */
const longestName = 63;
const sources = ['registry', 'pvc', 'http', 's3', 'gcs'] as const satisfies readonly (keyof DataVolumeSource)[];

/** @returns why it is refused; empty where it is not. @param former what is stored, where it is to be changed */
export function validateDataImportCron(cron: DataImportCron, former?: DataImportCron): Cause[] {
  const name = checkLength(cron.metadata.name);
  if (name.length > 0) return name;
  if (former !== undefined) return checkUnchanged(former.spec, cron.spec);
  const own = checkTemplate(cron.spec) ?? checkSchedule(cron.spec);
  return own === undefined ? checkDataVolume(cron) : [own];
}

/** The DataVolume of the template, as far as it is known before there is something to import. */
export function templateOf({ metadata: { name, namespace }, spec }: DataImportCron): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: spec.template.spec,
  };
}

function checkLength(name: string): Cause[] {
  return name.length > longestName ? [invalid('', `Name cannot be longer than ${longestName} characters`)] : [];
}

function checkUnchanged(former: DataImportCronSpec, next: DataImportCronSpec): Cause[] {
  if (isDeepStrictEqual(sameForm(former), sameForm(next))) return [];
  const message = 'Cannot update DataImportCron Spec';
  return [{ type: 'FieldValueDuplicate', field: 'DataImportCron.Spec', message }];
}

function checkTemplate({ template: { spec } }: DataImportCronSpec): Cause | undefined {
  const { source } = spec;
  if (source === undefined || sources.every((kind) => source[kind] === undefined)) {
    return invalid('spec.Template', 'Missing source');
  }
  const { sourceRef, contentType = '', checkpoints = [], finalCheckpoint = false } = spec;
  const isPlain = sourceRef === undefined && contentType === '' && checkpoints.length === 0 && !finalCheckpoint;
  return isPlain
    ? undefined
    : invalid('spec.Template', 'Unsettable fields: SourceRef, ContentType, Checkpoints, FinalCheckpoint');
}

function checkSchedule(spec: DataImportCronSpec): Cause | undefined {
  const { schedule, importsToKeep = 0, garbageCollect, retentionPolicy, managedDataSource } = spec;
  if (schedule !== '' && !isCronSchedule(schedule)) return invalid('spec.Schedule', 'Illegal cron schedule');
  if (importsToKeep < 0) return invalid('spec.ImportsToKeep', 'Illegal ImportsToKeep value');
  if (!['Outdated', 'Never', undefined].includes(garbageCollect)) {
    return invalid('spec.GarbageCollect', 'Illegal GarbageCollect value');
  }
  // CDI has no rule, and takes what it does not know for All.
  if (!['All', 'None', undefined].includes(retentionPolicy)) {
    return invalid('spec.RetentionPolicy', 'Illegal RetentionPolicy value');
  }
  if (managedDataSource === '' || nameProblem(managedDataSource) !== undefined)
    return invalid('spec.ManagedDataSource', 'Illegal ManagedDataSource value');
  return checkLength(managedDataSource)[0];
}

function checkDataVolume(cron: DataImportCron): Cause[] {
  const causes = validateDataVolume(templateOf(cron), { operation: 'create' });
  return causes.map((cause) => ({ ...cause, field: cause.field.replace(/^spec\b/, 'spec.template.spec') }));
}
