// What the kill tests do to a service: ask for imports, uploads and clones, look at how they stand, and check that everything ended well.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DataVolume, DataVolumeSource } from '../../domain/data-volume.ts';
import { Service, until } from '../service-fixture.ts';
import { type StormImages, sha256Of, volumeSize } from './storm-images.ts';

const run = promisify(execFile);
const volumesPath = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';

export async function createVolume(service: Service, name: string, source: DataVolumeSource): Promise<void> {
  const body = {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name, namespace: 'default' },
    spec: { source, storage: { resources: { requests: { storage: volumeSize } } } },
  };
  const answer = await service.call('POST', volumesPath, body);
  if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

export async function listVolumes(service: Service): Promise<DataVolume[]> {
  const answer = await service.call<{ items: DataVolume[] }>('GET', volumesPath);
  return answer.body.items;
}

export async function phaseOf(service: Service, name: string): Promise<string | undefined> {
  const answer = await service.call<DataVolume>('GET', `${volumesPath}/${name}`);
  return answer.body.status?.phase;
}

/** Uploads the file as a client would, with curl. @returns the HTTP status, 0 where the service went away */
export async function upload(service: Service, name: string, path: string): Promise<number> {
  const asked = {
    apiVersion: 'upload.cdi.kubevirt.io/v1beta1',
    kind: 'UploadTokenRequest',
    metadata: { name },
    spec: { pvcName: name },
  };
  const tokens = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/default/uploadtokenrequests';
  const token = await service.call<{ status: { token: string } }>('POST', tokens, asked);
  const words = [
    '-s',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    '--max-time',
    '60',
    '--cacert',
    join(service.directory, 'ca.crt'),
  ];
  const header = `Authorization: Bearer ${token.body.status.token}`;
  const url = `${service.state.uploadProxy}/v1beta1/upload-async`;
  try {
    const { stdout } = await run('curl', [...words, '-H', header, '--data-binary', `@${path}`, url]);
    return Number(stdout);
  } catch {
    return 0; // curl says so by its exit code: nobody answered any more
  }
}

/** The whole service and all that it started, at once. */
export function killWhole(service: Service): number[] {
  const { pid } = service.state;
  const pids = [pid ?? service.pid, ...Object.values(service.state.processes).map((child) => child.pid)];
  for (const one of [...new Set(pids)]) {
    try {
      process.kill(one, 'SIGKILL');
    } catch (error) {
      // Already gone with its parent: that is what is asked.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
  return pids;
}

/** Processes that have a file, a directory or an argument below the path. */
export function processesAt(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => touches(pid, directory))
    .map((pid) => `${pid} ${commandOf(pid)}`);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // ended in between
  }
}

function touches(pid: string, directory: string): boolean {
  if (commandOf(pid).includes(directory)) return true;
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(directory));
  } catch {
    return false; // ended in between
  }
}

/** Waits until nothing goes on any more; uploads that lost their client are sent again. */
export async function untilAllEnded(service: Service, images: StormImages, limitMs = 120_000): Promise<void> {
  await until(
    'every volume has ended',
    async () => {
      const volumes = await listVolumes(service);
      for (const volume of volumes.filter(({ status }) => status?.phase === 'UploadReady')) {
        await upload(service, volume.metadata.name, join(images.directory, images.qcow2));
      }
      return volumes.every(({ status }) => status?.phase === 'Succeeded' || status?.phase === 'Failed');
    },
    limitMs,
  );
}

export interface Ended {
  name: string;
  /** Succeeded with the right digest, or Failed with a code; else what is wrong. */
  end: string;
}

export async function endsOf(service: Service, images: StormImages): Promise<Ended[]> {
  const volumes = await listVolumes(service);
  return await Promise.all(
    volumes.map(async ({ metadata, status }) => {
      const { name } = metadata;
      if (status?.phase !== 'Succeeded') return { name, end: `${status?.phase} ${status?.longshore?.fault?.code}` };
      const path = join(service.state.pool, 'volumes', status.longshore?.volumeId ?? '', 'data/disk.img');
      const right = existsSync(path) && (await sha256Of(path)) === images.sha256;
      return { name, end: right ? 'Succeeded' : `wrong content in ${path}` };
    }),
  );
}

/** What lies in the pool that no DataVolume owns. */
export async function strays(service: Service): Promise<string[]> {
  const owned = new Set((await listVolumes(service)).map(({ status }) => status?.longshore?.volumeId));
  const volumes = (await readdir(join(service.state.pool, 'volumes'))).filter((id) => !owned.has(id));
  return [...volumes, ...(await readdir(join(service.state.pool, 'staging')))];
}

/** Small numbers that look random and come again with the same seed (mulberry32, in the public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export { Service };
