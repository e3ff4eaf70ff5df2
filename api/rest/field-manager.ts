// One entry of metadata.managedFields as it is worked with: who set which fields, how, and when.
import type { FieldPath } from './field-paths.ts';

export interface FieldManager {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  /** '' for the object itself, else `status`. */
  readonly subresource: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly fields: ReadonlySet<FieldPath>;
}
