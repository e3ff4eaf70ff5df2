// Log files of the service's processes: lines are added; a file that has grown large is moved aside when it is opened, and log-writer.ts keeps
// it small from then on.
import { openSync, renameSync, statSync } from 'node:fs';
import { toFault } from '../domain/fault.ts';
import { largestLogBytes } from './log-writer.ts';

/** @returns a descriptor for appending, mode 0600 */
export function openLogFile(path: string): number {
  try {
    if (statSync(path).size > largestLogBytes) renameSync(path, `${path}.1`);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw toFault(error);
  }
  return openSync(path, 'a', 0o600);
}
