// NAMESPACE/NAME as people type it.
import { InvalidArgumentError } from 'commander';
import { nameProblem, namespaceProblem } from '../domain/object-name.ts';

export interface VolumeName {
  namespace: string;
  name: string;
}

/** For commander: a name without a namespace is one in `default`. */
export function parseVolumeName(text: string): VolumeName {
  const parts = text.split('/');
  const [namespace, name] = parts.length === 1 ? ['default', parts[0]] : parts;
  if (parts.length > 2 || !namespace || !name) throw new InvalidArgumentError('expected NAMESPACE/NAME.');
  const problem = namespaceProblem(namespace) ?? nameProblem(name);
  if (problem !== undefined) throw new InvalidArgumentError(`${problem}.`);
  return { namespace, name };
}

/** For commander. */
export function parseNamespace(text: string): string {
  const problem = namespaceProblem(text);
  if (problem !== undefined) throw new InvalidArgumentError(`${problem}.`);
  return text;
}

export function showName({ namespace, name }: VolumeName): string {
  return `${namespace}/${name}`;
}
