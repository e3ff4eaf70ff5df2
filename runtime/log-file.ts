// Log files of the service's processes: lines are added; a file that has grown large is moved aside when it is opened, and log-writer.ts keeps
// it small from then on.
import { openSync, renameSync, statSync } from 'node:fs';
import { toFault } from '../domain/fault.ts';
import { largestLogBytes } from './log-writer.ts';
import { tell } from './tell.ts';

/** @returns a descriptor for appending, mode 0600; one that swallows everything where the file cannot be opened, which is told on stderr and stops nobody */
export function openLogFile(path: string): number {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && found.size > largestLogBytes) renameSync(path, `${path}.1`);
    return openSync(path, 'a', 0o600);
  } catch (error) {
    tell(2, `longshore: ${path} cannot be written, what belongs there is lost: ${toFault(error).detail}\n`);
    return openSync('/dev/null', 'a');
  }
}
