// The page of the chart, charts/longshore/README.md, made from the comments of its values.yaml: each value with its default and its meaning.
import { readFileSync } from 'node:fs';
import { isMap, isPair, isScalar, parseDocument, type YAMLMap } from 'yaml';

export const chartReadme = 'charts/longshore/README.md';

interface Row {
  path: string;
  fallback: unknown;
  meaning: string;
}

/** The members of a map that are values; a map with members of its own is a group, whose comment says what is in it. */
function rowsOf(map: YAMLMap, above: readonly string[]): Row[] {
  return map.items.flatMap((pair, index) => {
    if (!isPair(pair) || !isScalar(pair.key)) return [];
    const path = [...above, String(pair.key.value)];
    // The comment above the first member of a map is the map's own.
    const comment = pair.key.commentBefore ?? (index === 0 && above.length > 0 ? map.commentBefore : undefined) ?? '';
    const meaning = comment
      .split('\n')
      .map((line) => line.trim())
      .join(' ')
      .trim();
    if (isMap(pair.value) && pair.value.items.length > 0 && pair.value.flow !== true && isGroup(path)) {
      const group = meaning === '' ? [] : [{ path: `${path.join('.')}.*`, fallback: undefined, meaning }];
      return [...group, ...rowsOf(pair.value, path)];
    }
    return [{ path: path.join('.'), fallback: toPlain(pair.value), meaning }];
  });
}

/** Members of these are names of the user's. */
const maps: ReadonlySet<string> = new Set(['annotations', 'labels', 'nodeSelector', 'resources', 'settings']);

function isGroup(path: readonly string[]): boolean {
  return !maps.has(path.at(-1) ?? '');
}

function toPlain(node: unknown): unknown {
  if (isScalar(node)) return node.value;
  return typeof node === 'object' && node !== null && 'toJSON' in node && typeof node.toJSON === 'function'
    ? node.toJSON()
    : node;
}

/** Every value of a values.yaml, in its order. */
export function chartValues(text: string): Row[] {
  const { contents } = parseDocument(text);
  return isMap(contents) ? rowsOf(contents, []) : [];
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
}

/** @param valuesPath of values.yaml */
export function chartReadmeText(valuesPath: URL): string {
  const rows = chartValues(readFileSync(valuesPath, 'utf8')).map(({ path, fallback, meaning }) => [
    `\`${path}\``,
    fallback === undefined ? '' : `\`${JSON.stringify(fallback)}\``,
    meaning,
  ]);
  return `${intro}${line(['Value', 'Default', 'Meaning'])}${line(['---', '---', '---'])}${rows.map(line).join('')}`;
}

const intro = `<!-- Made by \`npm run docs\` from values.yaml. Do not edit. -->

# The chart of Longshore

    npm run image
    helm install longshore charts/longshore --namespace longshore --create-namespace --values my-values.yaml

It brings Longshore to a Kubernetes cluster (1.30 or later; tried with 1.34) in the place of CDI: the kinds of the group \`cdi.kubevirt.io\`, the Services \`cdi-api\` and \`cdi-uploadproxy\`, a CSI
driver for pools on the nodes' own disks with the class \`longshore\`, and Redis. It refuses to be installed where CDI is. There is one Longshore on a cluster.

The image is to be where the nodes find it: pushed to a registry that \`imageRegistry\` names, or loaded into each node.

* **Uploads**: clients such as virtctl read from \`CDIConfig\` where to upload: the host of the Ingress, or what an administrator writes into its \`spec.uploadProxyURLOverride\` for a
  Service of type NodePort or LoadBalancer. The names by which the proxy is dialled stand in \`uploadProxy.hosts\`; the CA is in the ConfigMap \`longshore-ca\`.
* **Upgrade**: \`helm upgrade\` changes the CustomResourceDefinitions too, \`helm rollback\` changes them back. Pods keep their volumes while a worker is replaced; what it was filling goes on afterwards.
* **Uninstall**: \`helm uninstall\` deletes no volume. CustomResourceDefinitions, DataVolumes, claims, PersistentVolumes, the CSIDriver and the files of the pools stay, and an installation under the
  same name and namespace takes them up again. Until then pods that use volumes run on, but none begins, and one that is deleted waits for its volume to be unmounted.
* **Security**: every pod but the worker's meets the level \`restricted\` of the Pod Security Standards. The worker is a CSI driver: it is root and privileged, because it mounts volumes for pods. Every process has a
  service account of its own with the rights that its code uses, and NetworkPolicies let through the connections that there are.
* **GitOps**: where manifests are rendered without a cluster the password of Redis would be another one each time: name a Secret of your own with \`redis.existingSecret\`.

## Values

`;
