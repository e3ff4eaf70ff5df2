// What Kubernetes says about labels and annotations that are none: names, values and how much there may be.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
import { type Cause, invalid } from './cause.ts';
import { nameProblem } from './object-name.ts';

const namePart = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const namePattern = new RegExp(`^${namePart}$`);
const longestPart = 63;
const mostAnnotationBytes = 262_144;

const rule =
  "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const nameRule = `name part must ${rule} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '${namePart}')`;
const valueRule = `a valid label must be an empty string or ${rule} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(${namePart})?')`;

/** What is wrong with `name` or `prefix/name`. @returns undefined where nothing is */
function qualifiedNameProblem(key: string): string | undefined {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  const prefixProblem = slash === -1 ? undefined : nameProblem(key.slice(0, slash));
  if (prefixProblem !== undefined) return `prefix part ${prefixProblem}`;
  if (name.length > longestPart) return `name part must be no more than ${longestPart} characters`;
  return namePattern.test(name) ? undefined : nameRule;
}

function valueProblem(value: string): string | undefined {
  if (value.length > longestPart) return `must be no more than ${longestPart} characters`;
  return value === '' || namePattern.test(value) ? undefined : valueRule;
}

function refused(field: string, text: string, problem: string | undefined): Cause[] {
  return problem === undefined ? [] : [invalid(field, `Invalid value: ${JSON.stringify(text)}: ${problem}`)];
}

type TextMap = Readonly<Record<string, string>>;

/** Causes against the labels and annotations of an object that a user writes. */
export function checkLabelsAndAnnotations(metadata: {
  labels?: TextMap | undefined;
  annotations?: TextMap | undefined;
}): Cause[] {
  const labels = Object.entries(metadata.labels ?? {});
  const annotations = Object.entries(metadata.annotations ?? {});
  const bytes = annotations.flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const message = `Too long: may not be more than ${mostAnnotationBytes} bytes`;
  return [
    ...labels.flatMap(([name, value]) => [
      ...refused('metadata.labels', name, qualifiedNameProblem(name)),
      ...refused('metadata.labels', value, valueProblem(value)),
    ]),
    ...annotations.flatMap(([name]) => refused('metadata.annotations', name, qualifiedNameProblem(name.toLowerCase()))),
    ...(bytes > mostAnnotationBytes
      ? [{ type: 'FieldValueTooLong' as const, field: 'metadata.annotations', message }]
      : []),
  ];
}
