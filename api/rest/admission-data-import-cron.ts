// CDI's admission of DataImportCrons: validating rules, and the authorisation of what is cloned again and again.
import { templateOf, validateDataImportCron } from '../../domain/admission-data-import-cron.ts';
import { annotations } from '../../domain/annotations.ts';
import { withRequester } from '../../domain/clone-authorization.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { authorizeClone } from './clone-requester.ts';
import { refusedAdmission } from './kube-status.ts';
import type { ApiContext, WriteOptions } from './request-context.ts';

/** @throws Fault InvalidRequest */
export function admitDataImportCron(asked: KubeObject, context: ApiContext, options: WriteOptions): KubeObject {
  const cron = asked as DataImportCron; // Safe: its shape was checked when it was read.
  const causes = validateDataImportCron(cron);
  if (causes.length > 0) throw refusedAdmission(causes);
  return withRequester(cron, authorizeClone(templateOf(cron), { ...options, ...context }));
}

/** @throws Fault InvalidRequest */
export function admitDataImportCronUpdate(asked: KubeObject, stored: KubeObject): KubeObject {
  const [cron, former] = [asked as DataImportCron, stored as DataImportCron]; // Safe: as above, and stored under the same rules.
  const causes = validateDataImportCron(cron, former);
  if (causes.length > 0) throw refusedAdmission(causes);
  return withRequester(cron, former.metadata.annotations?.[annotations.requester]);
}
