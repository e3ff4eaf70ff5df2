// Log files of the service's processes: lines are added; a file that has grown large is moved aside when it is opened.
import { openSync, renameSync, statSync } from 'node:fs';
import { toFault } from '../domain/fault.ts';

const largestBytes = 16 * 1024 * 1024;

/** @returns a descriptor for appending, mode 0600 */
export function openLogFile(path: string): number {
  try {
    if (statSync(path).size > largestBytes) renameSync(path, `${path}.1`);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw toFault(error);
  }
  return openSync(path, 'a', 0o600);
}
