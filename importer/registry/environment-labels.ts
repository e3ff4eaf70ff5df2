// Labels for the claim, told by the environment of a container disk as CDI reads it: INSTANCETYPE_KUBEVIRT_IO_DEFAULT_INSTANCETYPE=u1.small is the label
// instancetype.kubevirt.io/default-instancetype: u1.small. Pure.
import { checkLabelsAndAnnotations } from '../../domain/metadata-names.ts';

const domainWords = 'KUBEVIRT_IO_';

/** @param environment lines `NAME=value`; what makes no label is left out. */
export function labelsOfEnvironment(environment: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const line of environment) {
    const equals = line.indexOf('=');
    const name = line.slice(0, Math.max(equals, 0));
    const value = line.slice(equals + 1);
    const at = name.indexOf(domainWords);
    if (at < 0) continue;
    const prefix = name.slice(0, at).replaceAll('_', '.').toLowerCase();
    const rest = name
      .slice(at + domainWords.length)
      .replaceAll('_', '-')
      .toLowerCase();
    const label = `${prefix}kubevirt.io/${rest}`;
    if (checkLabelsAndAnnotations({ labels: { [label]: value } }).length === 0) labels[label] = value;
  }
  return labels;
}
