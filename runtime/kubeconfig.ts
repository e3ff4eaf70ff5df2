// DIR/kubeconfig: for kubectl, virtctl and the `longshore` command. One cluster, one user, mode 0600.
import { readFile } from 'node:fs/promises';
import { writeDurably } from './durable-file.ts';

export interface KubeconfigContent {
  /** https URL of the API. */
  server: string;
  /** PEM */
  ca: string;
  user: string;
  token: string;
}

export async function writeKubeconfig(path: string, content: KubeconfigContent): Promise<void> {
  await writeDurably(path, kubeconfigText(content), 0o600);
}

function kubeconfigText(content: KubeconfigContent): string {
  const name = JSON.stringify(content.user);
  return `apiVersion: v1
kind: Config
current-context: longshore
clusters:
  - name: longshore
    cluster:
      server: ${JSON.stringify(content.server)}
      certificate-authority-data: ${Buffer.from(content.ca, 'utf8').toString('base64')}
contexts:
  - name: longshore
    context:
      cluster: longshore
      namespace: default
      user: ${name}
users:
  - name: ${name}
    user:
      token: ${JSON.stringify(content.token)}
`;
}

/** The token of a kubeconfig that we wrote; undefined where there is none. */
export async function readKubeconfigToken(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    return /^\s*token: "?([A-Za-z0-9_.~+/=-]+)"?\s*$/m.exec(text)?.[1];
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
