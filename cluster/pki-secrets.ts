// The keys and certificates of a service on a cluster: made in a directory, as on one machine, and kept in Secrets. The controller that leads keeps all of them
// in `longshore-pki`, and for each process a Secret with what that process needs. The others copy theirs into a directory of their own and follow its
// changes. Workers have no Secret: see worker-enrolment.ts.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, toFault } from '../domain/fault.ts';
import type { ConfigMap, Secret } from '../domain/kube-shapes.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import { tlsNames } from '../runtime/service-certificates.ts';

const wholePki = 'longshore-pki';
/** ConfigMap with `ca.crt`, for workers and for people. */
export const caConfigMap = 'longshore-ca';

const ownLabels = { 'app.kubernetes.io/managed-by': 'longshore' };
const pairFiles = (name: string): string[] => [`${name}.crt`, `${name}.key`];

/** What each process needs of it. */
const parts = {
  'longshore-api-pki': ['ca.crt', ...pairFiles(tlsNames.api), 'upload-token.key', 'upload-token.pub'],
  'longshore-uploadproxy-pki': [
    ...['ca.crt', 'upload-token.pub'],
    ...pairFiles(tlsNames.uploadProxy),
    ...pairFiles(tlsNames.uploadProxyClient),
  ],
} as const satisfies Record<string, readonly string[]>;

export type PkiPart = keyof typeof parts;

/** Everything that is kept, by name. */
export const pkiSecrets: readonly string[] = [wholePki, ...Object.keys(parts)];

export interface PkiPlace {
  store: ObjectStore;
  namespace: string;
  directory: string;
}

/** Makes the directory hold what is kept; leaves it as it is where nothing is kept yet. */
export async function loadPki({ store, namespace, directory }: PkiPlace): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const secret = await store.get(resources.secrets, { namespace, name: wholePki });
  if (secret === undefined) return;
  await writeFiles(directory, secret);
  const kept = Object.keys(secret.data ?? {});
  for (const name of Object.keys(await readFiles(directory))) {
    if (!kept.includes(name)) await rm(join(directory, name));
  }
}

/** Keeps what is in the directory: all of it, each process's part, and the CA for everybody. Writes only what differs. @throws Fault Conflict where another keeps it too */
export async function savePki({ store, namespace, directory }: PkiPlace): Promise<void> {
  const files = await readFiles(directory);
  await keep(store, namespace, wholePki, files);
  for (const [name, wanted] of Object.entries(parts)) {
    const part = wanted.map((file) => [file, files[file]] as const);
    const missing = part.filter(([, text]) => text === undefined).map(([file]) => file);
    if (missing.length > 0) throw new Fault('Internal', `${name} lacks ${missing.join(', ')}`);
    // Safe: what is undefined was refused just now.
    await keep(store, namespace, name, Object.fromEntries(part) as Record<string, string>);
  }
  await keepCa(store, namespace, Buffer.from(files['ca.crt'] ?? '', 'base64').toString('utf8'));
}

async function keepCa(store: ObjectStore, namespace: string, ca: string): Promise<void> {
  const kept = await store.get(resources.configMaps, { namespace, name: caConfigMap });
  const data = { 'ca.crt': ca };
  if (kept === undefined) {
    const metadata = { namespace, name: caConfigMap, labels: ownLabels };
    const made: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
    await store.create(resources.configMaps, made);
  } else if (kept.data?.['ca.crt'] !== ca) await store.update(resources.configMaps, { ...kept, data });
}

async function readFiles(directory: string): Promise<Record<string, string>> {
  const names = (await readdir(directory)).filter((name) => /\.(crt|key|pub|json)$/.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'base64')));
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? '']));
}

async function keep(store: ObjectStore, namespace: string, name: string, data: Record<string, string>): Promise<void> {
  const kept = await store.get(resources.secrets, { namespace, name });
  if (kept === undefined) {
    const metadata = { namespace, name, labels: ownLabels };
    await store.create(resources.secrets, { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data });
    return;
  }
  const isSame = JSON.stringify(sorted(kept.data ?? {})) === JSON.stringify(sorted(data));
  if (!isSame) await store.update(resources.secrets, { ...kept, data });
}

function sorted(data: Record<string, string>): [string, string][] {
  return Object.entries(data).sort(([one], [other]) => one.localeCompare(other));
}

/**
 * Copies one process's part into the directory, now and whenever it changes.
 * @returns when it is there for the first time; then it goes on until the signal aborts, and calls each time what it was given here
 * @throws Fault the signal's reason
 */
export async function followPki(
  place: PkiPlace,
  part: PkiPart,
  options: { signal: AbortSignal; logger: Logger },
): Promise<{ onWritten(call: () => void): void }> {
  await mkdir(place.directory, { recursive: true, mode: 0o700 });
  const there = Promise.withResolvers<void>();
  const calls: (() => void)[] = [there.resolve];
  const following = follow(place, part, options, () => {
    for (const call of calls) call();
  });
  following.then(
    () => there.reject(toFault(options.signal.reason, { signal: options.signal })),
    (error: unknown) => there.reject(error),
  );
  await there.promise;
  return { onWritten: (call) => calls.push(call) };
}

const againMs = 1_000;

async function follow(
  { store, namespace, directory }: PkiPlace,
  part: PkiPart,
  { signal, logger }: { signal: AbortSignal; logger: Logger },
  onCopied: () => void,
): Promise<void> {
  const fieldSelector = `metadata.name=${part}`;
  while (!signal.aborted) {
    try {
      for await (const event of store.watch(resources.secrets, { namespace, fieldSelector, signal })) {
        if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue;
        await writeFiles(directory, event.object);
        onCopied();
      }
    } catch (error) {
      logger.warn({ secret: part, err: toFault(error) }, 'certificates not followed, begun anew');
    }
    await pauseFor(againMs, signal).catch(() => undefined); // aborted: the loop ends
  }
}

async function writeFiles(directory: string, { data = {} }: Secret): Promise<void> {
  for (const [name, text] of Object.entries(data)) {
    if (!/^[a-z0-9-]+\.[a-z]+$/.test(name)) continue; // nothing of ours is called so, and it may not name a path
    const isPrivate = name.endsWith('.key');
    await writeDurably(join(directory, name), Buffer.from(text, 'base64').toString('utf8'), isPrivate ? 0o600 : 0o644);
  }
}
