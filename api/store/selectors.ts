// Label and field selectors of Kubernetes, parsed once into predicates.
import { Fault } from '../../domain/fault.ts';

export type Labels = Readonly<Record<string, string>>;
export type LabelPredicate = (labels: Labels) => boolean;

const key = '[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?';
const setForm = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const equalForm = new RegExp(`^(${key})\\s*(=|==|!=)\\s*([-A-Za-z0-9_.]*)$`);
const existsForm = new RegExp(`^(!?)\\s*(${key})$`);

const longestSelector = 8_192;

/** Splits at commas that stand outside parentheses. @throws Fault MalformedRequest */
function requirementsOf(selector: string): string[] {
  if (selector.length > longestSelector) {
    throw new Fault('MalformedRequest', `a selector may have ${longestSelector} characters at most`);
  }
  const parts: string[] = [];
  let [start, inside] = [0, false];
  for (let at = 0; at < selector.length; at += 1) {
    const character = selector[at];
    if (character === '(') inside = true;
    else if (character === ')') inside = false;
    else if (character === ',' && !inside) {
      parts.push(selector.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(selector.slice(start));
  return parts.map((part) => part.trim());
}

function labelRequirement(text: string): LabelPredicate {
  const set = setForm.exec(text);
  if (set !== null) {
    const [, name = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    return operator === 'in'
      ? (labels) => values.has(labels[name] ?? '\0')
      : (labels) => !values.has(labels[name] ?? '\0');
  }
  const equal = equalForm.exec(text);
  if (equal !== null) {
    const [, name = '', operator, value = ''] = equal;
    return operator === '!=' ? (labels) => labels[name] !== value : (labels) => labels[name] === value;
  }
  const exists = existsForm.exec(text);
  if (exists !== null) {
    const [, not, name = ''] = exists;
    return not === '!' ? (labels) => labels[name] === undefined : (labels) => labels[name] !== undefined;
  }
  throw new Fault('MalformedRequest', `unable to parse requirement: ${text}`);
}

/** @throws Fault MalformedRequest */
export function parseLabelSelector(selector: string): LabelPredicate {
  if (selector.trim() === '') return () => true;
  const parts = requirementsOf(selector);
  const empty = parts.indexOf('');
  if (empty >= 0) {
    const found = empty === parts.length - 1 ? '' : ',';
    throw new Fault('MalformedRequest', `found '${found}', expected: identifier after ','`);
  }
  const requirements = parts.map(labelRequirement);
  return (labels) => requirements.every((holds) => holds(labels));
}

export interface FieldRequirement {
  readonly path: readonly string[];
  readonly equal: boolean;
  readonly value: string;
}

/** @throws Fault MalformedRequest */
export function parseFieldSelector(selector: string): FieldRequirement[] {
  const texts = requirementsOf(selector).filter((part) => part !== '');
  return texts.map((text) => {
    const match = /^([A-Za-z][A-Za-z0-9_.]*)\s*(==|!=|=)\s*(.*)$/.exec(text);
    if (match === null) throw new Fault('MalformedRequest', `invalid field selector: ${text}`);
    const [, path = '', operator, value = ''] = match;
    return { path: path.split('.'), equal: operator !== '!=', value };
  });
}

function fieldOf(object: unknown, path: readonly string[]): string {
  let value: unknown = object;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return '';
    value = Object.getOwnPropertyDescriptor(value, step)?.value;
  }
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value);
}

export function matchesFields(object: unknown, requirements: readonly FieldRequirement[]): boolean {
  return requirements.every(({ path, equal, value }) => (fieldOf(object, path) === value) === equal);
}
