// Prints what a command found: for people as lines or a table, with -o json and -o yaml as the objects themselves, without
// managedFields, which kubectl leaves out as well.
import { type Command, Option } from 'commander';
import type { KubeObject } from '../domain/object-store.ts';
import type { Output } from './command-io.ts';

export type Format = 'json' | 'yaml' | 'wide' | undefined;

export function addFormatOption(command: Command, formats: readonly string[] = ['json', 'yaml']): Command {
  return command.addOption(new Option('-o, --output <format>', 'how to print').choices(formats));
}

export function formatOf(command: Command): Format {
  const output: unknown = command.opts()['output'];
  return output === 'json' || output === 'yaml' || output === 'wide' ? output : undefined;
}

/** @param plain the text for people, where no format was asked */
export async function showValue(stdout: Output, format: Format, value: unknown, plain: () => string): Promise<void> {
  if (format === 'json') stdout.write(`${JSON.stringify(value, withoutManagedFields, 2)}\n`);
  else if (format === 'yaml') stdout.write((await import('yaml')).stringify(value, withoutManagedFields));
  else stdout.write(plain());
}

function withoutManagedFields(key: unknown, value: unknown): unknown {
  return key === 'managedFields' ? undefined : value;
}

/** A list as kubectl prints it. */
export function listOf(items: readonly KubeObject[]): unknown {
  return { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items };
}
