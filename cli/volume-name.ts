// NAMESPACE/NAME as people type it.
import { InvalidArgumentError } from 'commander';
import { Fault } from '../domain/fault.ts';
import { nameProblem, namespaceProblem } from '../domain/object-name.ts';

export interface VolumeName {
  namespace: string;
  name: string;
}

/** A name that an option may complete. */
export interface PartialName {
  namespace: string | undefined;
  name: string;
}

const otherwise = 'default';

/** For commander: a name without a namespace is one in `default`. */
export function parseVolumeName(text: string): VolumeName {
  const { namespace = otherwise, name } = parsePartialName(text);
  return { namespace, name };
}

/** For commander, where `--namespace` says the rest; see withNamespace. */
export function parsePartialName(text: string): PartialName {
  const parts = text.split('/');
  const [namespace, name] = parts.length === 1 ? [undefined, parts[0]] : parts;
  if (parts.length > 2 || namespace === '' || !name) throw new InvalidArgumentError('expected NAMESPACE/NAME.');
  const problem = (namespace === undefined ? undefined : namespaceProblem(namespace)) ?? nameProblem(name);
  if (problem !== undefined) throw new InvalidArgumentError(`${problem}.`);
  return { namespace, name };
}

/** @throws Fault InvalidRequest where name and option tell two namespaces */
export function withNamespace({ namespace, name }: PartialName, option: string | undefined): VolumeName {
  if (namespace !== undefined && option !== undefined && namespace !== option) {
    throw new Fault('InvalidRequest', `${namespace}/${name} is not in namespace ${option}`);
  }
  return { namespace: namespace ?? option ?? otherwise, name };
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
