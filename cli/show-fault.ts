// A fault as the command tells it, and the exit code of its row.
import { type Fault, faultText } from '../domain/fault.ts';
import { faultCatalogue } from '../domain/fault-catalogue.ts';
import type { Output } from './command-io.ts';

/** @returns the exit code */
export function showFault(fault: Fault, stderr: Output): number {
  stderr.write(faultText(fault));
  return fault.row.exit;
}

/** Ctrl-C ends the command only, so nothing is said to be cancelled. @returns the exit code of what was stopped */
export function showStopped(stderr: Output): number {
  stderr.write('Stopped. What the service was asked for goes on; an upload goes on with the same command.\n');
  stderr.write('  `longshore get` shows how it stands, `longshore cancel NAMESPACE/NAME` ends it.\n');
  return faultCatalogue.Cancelled.exit;
}
