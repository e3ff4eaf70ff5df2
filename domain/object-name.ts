// Names that Kubernetes allows, and what it says about others.
import { type Cause, invalid } from './cause.ts';

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomain = `${label}(\\.${label})*`;

export const longestName = 253;

const subdomainPattern = new RegExp(`^${subdomain}$`);
const labelPattern = new RegExp(`^${label}$`);
const longestLabel = 63;

const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character " +
  `(e.g. 'example.com', regex used for validation is '${subdomain}')`;
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character " +
  `(e.g. 'my-name',  or '123-abc', regex used for validation is '${label}')`;

/** What is wrong with the name of an object (a DNS subdomain). @returns undefined where nothing is */
export function nameProblem(name: string): string | undefined {
  if (name.length > longestName) return `must be no more than ${longestName} characters`;
  return subdomainPattern.test(name) ? undefined : subdomainRule;
}

/** What is wrong with the name of a namespace (a DNS label). @returns undefined where nothing is */
export function namespaceProblem(name: string): string | undefined {
  if (name.length > longestLabel) return `must be no more than ${longestLabel} characters`;
  return labelPattern.test(name) ? undefined : labelRule;
}

/** Causes against metadata.name and generateName of an object that is to be created. */
export function checkName(metadata: { name?: string; generateName?: string }): Cause[] {
  const { name = '', generateName = '' } = metadata;
  if (name === '' && generateName === '') {
    return [
      {
        type: 'FieldValueRequired',
        field: 'metadata.name',
        message: 'Required value: name or generateName is required',
      },
    ];
  }
  if (name === '') return [];
  const problem = nameProblem(name);
  return problem === undefined ? [] : [invalid('metadata.name', `Invalid value: ${JSON.stringify(name)}: ${problem}`)];
}
