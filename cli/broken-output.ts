// What becomes of a command whose output cannot be written: a reader that went away ends it without a word, as it ends any program of a pipe; for all
// else it says why, once.
import { Fault } from '../domain/fault.ts';
import type { Output } from './command-io.ts';
import { showFault } from './show-fault.ts';

/** What a shell makes of SIGPIPE. */
const brokenPipeExit = 141;

/** @returns the exit code of a command that could not write what it had to say; tells why on stderr, unless only its reader went away */
export function endOfBrokenOutput(error: NodeJS.ErrnoException, stderr: Output): number {
  if (error.code === 'EPIPE') return brokenPipeExit;
  return showFault(new Fault('OutputBroken', error.message, { cause: error }), stderr);
}
