// The data directory of a service: which one, and what lies where in it.
//
//   DIR/store/objects.sqlite   objects and users        DIR/kubeconfig   of the first administrator (0600)
//   DIR/pki/                   CA, certificates, keys   DIR/ca.crt       what clients are to trust
//   DIR/redis/                 the queue's file         DIR/up.json      addresses and pids of the running service
//   DIR/run/                   sockets, the lock        DIR/log/         logs of the processes
//   DIR/pools/default/         the pool, unless --pool says otherwise
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from './config.ts';
import { makeDirectory } from './make-directory.ts';
import { type PoolSetting, parsePoolSettings } from './pool-settings.ts';

export interface DataLayout {
  readonly root: string;
  readonly store: string;
  readonly objects: string;
  readonly pki: string;
  readonly redis: string;
  readonly run: string;
  readonly log: string;
  /** The first is the one that is meant where only one is told. */
  readonly pools: readonly [PoolSetting, ...PoolSetting[]];
  readonly kubeconfig: string;
  readonly caCertificate: string;
  readonly up: string;
  readonly lock: string;
}

/** LONGSHORE_DATA, else /var/lib/longshore for root, else `longshore` under XDG_DATA_HOME or ~/.local/share. */
export function chooseDataDirectory(
  config: Pick<Config, 'data'>,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (config.data !== '') return resolve(config.data);
  if (process.getuid?.() === 0) return '/var/lib/longshore';
  const share = environment['XDG_DATA_HOME'];
  const base = share?.startsWith('/') === true ? share : join(homedir(), '.local', 'share');
  return join(base, 'longshore');
}

/** @param pools as in LONGSHORE_POOL. @throws Fault InvalidSetting */
export function layoutOf(root: string, pools = ''): DataLayout {
  return {
    root,
    store: join(root, 'store'),
    objects: join(root, 'store', 'objects.sqlite'),
    pki: join(root, 'pki'),
    redis: join(root, 'redis'),
    run: join(root, 'run'),
    log: join(root, 'log'),
    pools: parsePoolSettings(pools, join(root, 'pools', 'default')),
    kubeconfig: join(root, 'kubeconfig'),
    caCertificate: join(root, 'ca.crt'),
    up: join(root, 'up.json'),
    lock: join(root, 'run', 'up.lock'),
  };
}

/**
 * Makes the directories that are missing. Only what machines are to read is open to others.
 * @throws Fault InvalidSetting, PermissionDenied, NoSpace
 */
export async function makeDirectories(layout: DataLayout): Promise<void> {
  const setting = 'data directory (--data, LONGSHORE_DATA)';
  await makeDirectory({ path: layout.root, mode: 0o755, setting });
  for (const path of [layout.store, layout.pki, layout.redis, layout.run, layout.log]) {
    await makeDirectory({ path, mode: 0o700, setting });
  }
}
