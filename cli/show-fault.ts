// A fault as the command tells it: what happened, what exactly, what to do next; and the exit code of its row.
import type { Fault } from '../domain/fault.ts';
import type { Output } from './command-io.ts';

/** @returns the exit code */
export function showFault(fault: Fault, stderr: Output): number {
  stderr.write(`${fault.code}: ${fault.row.sentence}\n`);
  if (fault.detail.trim() !== '') stderr.write(`  ${fault.detail.trim()}\n`);
  stderr.write(`  ${fault.row.nextStep}\n`);
  return fault.row.exit;
}
