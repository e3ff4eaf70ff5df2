// Keeps DIR/kubeconfig true: the address may change with every start, the token stays, and a file that was lost is made again.
import { readKubeconfigToken, writeKubeconfig } from './kubeconfig.ts';

export interface AdminAccess {
  path: string;
  server: string;
  ca: string;
  /** Told at the first start only. */
  firstToken: string | undefined;
  /** Whether the token still opens something. */
  isKnown(token: string): boolean;
  /** A new token for the administrator; the former one is void. Rejects where there is no such user any more. */
  renew(): Promise<string>;
}

const user = 'admin';

export async function keepAdminKubeconfig(access: AdminAccess): Promise<void> {
  const kept = await readKubeconfigToken(access.path);
  const isUsable = kept !== undefined && access.isKnown(kept);
  const token = access.firstToken ?? (isUsable ? kept : await access.renew());
  await writeKubeconfig(access.path, { server: access.server, ca: access.ca, user, token });
}
