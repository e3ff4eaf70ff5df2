// Volumes that are deleted in every state that they can be in, and once more while their worker is killed: within a minute nothing of them is left, neither as
// object, file, promise or device, nor in Redis. (No source that is served here makes a volume `Paused`.)
import { randomBytes } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { annotations, provisionerName } from '../../domain/annotations.ts';
import { devicePathOf } from '../../domain/block-device.ts';
import type { DataVolume, DataVolumeSpec } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { isVolumeId } from '../../domain/volume-record.ts';
import { openRedis, type RedisConnection } from '../../jobs/connection.ts';
import { loadConfig } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { HostileServer } from '../hostile/hostile-server.ts';
import { devicesBelow, isRoot } from '../leave-no-device.ts';
import { RedisFixture } from '../redis-fixture.ts';
import { Service, until } from '../service-fixture.ts';
import { ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
let redis: RedisFixture;
let connection: RedisConnection;
let service: Service;
let user: ServiceUser;
let server: HostileServer;

beforeAll(async () => {
  [redis, server] = await Promise.all([RedisFixture.start(), HostileServer.start()]);
  connection = await openRedis(redis.url, {
    logger: createLogger(loadConfig({ LONGSHORE_LOG_LEVEL: 'silent' }), 'test'),
  });
  const environment = {
    LONGSHORE_REDIS_URL: redis.url,
    LONGSHORE_BACKOFF_BASE_MS: '100',
    LONGSHORE_SHARED_IMAGE_S: '0',
  };
  service = await Service.start({ environment });
  user = new ServiceUser(service);
  server.set('raw', randomBytes(4 * MiB));
  await service.call('POST', '/apis/storage.k8s.io/v1/storageclasses', {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'late' } },
    ...{ provisioner: provisionerName, volumeBindingMode: 'WaitForFirstConsumer' },
  });
});
afterAll(async () => {
  connection.disconnect();
  await service.stop();
  await Promise.all([redis.close(), server.stop()]);
});

const claimsPath = '/api/v1/namespaces/default/persistentvolumeclaims';
const slow = () => ({ http: { url: server.url('trickles', 'raw') } });

async function make(
  name: string,
  source: DataVolumeSpec['source'],
  more: object = {},
  told: object = {},
): Promise<void> {
  const pvc = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '8Mi' } }, ...more };
  const { status, body } = await service.call('POST', user.volumesPath, {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name, annotations: told } },
    spec: { source, pvc },
  });
  expect(status, JSON.stringify(body)).toBe(201);
}

/** Sends a part of its body, and no end. */
async function uploadHalf(name: string): Promise<ClientRequest> {
  const token = await user.token(name);
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/octet-stream',
    'content-length': 4 * MiB,
  };
  const sending = request(user.uploadUrl, { method: 'POST', headers, ca: service.ca, agent: false });
  sending.on('error', () => undefined); // it is cut off
  sending.write(randomBytes(MiB));
  return sending;
}

type Reach = (name: string) => Promise<AsyncDisposable | undefined>;
const isIn = async (name: string, phase: string): Promise<undefined> => void (await user.untilPhase(name, phase));

/** How a volume comes to its state; what is returned is let go of when it was deleted. */
const states: Record<string, Reach> = {
  'waits-for-a-pool': async (name) => {
    await make(name, { blank: {} }, {}, { [annotations.pool]: 'none' });
    return isIn(name, 'Pending');
  },
  'waits-for-its-consumer': async (name) => {
    await make(name, { blank: {} }, { storageClassName: 'late' });
    return isIn(name, 'WaitForFirstConsumer');
  },
  'waits-for-its-source': async (name) => {
    await make(name, { pvc: { namespace: 'default', name: 'nobody-makes-it' } });
    return isIn(name, 'Pending');
  },
  'is-tried-again': async (name) => {
    await make(name, { http: { url: server.url('503', 'raw') } });
    await until('it was tried twice', async () => ((await user.volume(name)).status?.longshore?.attempt ?? 0) > 1);
    return undefined;
  },
  'has-failed': async (name) => {
    await make(name, { http: { url: server.url('404', 'raw') } });
    return isIn(name, 'Failed');
  },
  'is-transferred': async (name) => {
    await make(name, slow());
    return isIn(name, 'ImportInProgress');
  },
  'is-ready-for-an-upload': async (name) => {
    await make(name, { upload: {} });
    return isIn(name, 'UploadReady');
  },
  'is-uploaded': async (name) => {
    await make(name, { upload: {} });
    await user.untilPhase(name, 'UploadReady');
    const sending = await uploadHalf(name);
    await until('bytes have come', async () => user.staged().some((staged) => staged.startsWith('pvc-')));
    return { [Symbol.asyncDispose]: async () => void sending.destroy() };
  },
  'is-complete': async (name) => {
    await make(name, { blank: {} });
    return isIn(name, 'Succeeded');
  },
  'is-cloned': async (name) => {
    await make(`${name}-from`, { blank: {} });
    await make(name, { pvc: { namespace: 'default', name: `${name}-from` } });
    await user.untilPhase(`${name}-from`, 'Succeeded');
    return undefined;
  },
  'is-open': async (name) => {
    await make(name, { blank: {} }, { volumeMode: isRoot ? 'Block' : 'Filesystem' });
    const id = (await user.untilPhase(name, 'Succeeded')).status?.longshore?.volumeId ?? '';
    if (!isRoot || !isVolumeId(id)) return undefined;
    return await open(devicePathOf(id), 'r+');
  },
  'is-a-user’s-own': async (name) => {
    await service.call('POST', claimsPath, {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '8Mi' } } },
    });
    const claim = async () => (await service.call<Claim>('GET', `${claimsPath}/${name}`)).body;
    await until('it is bound', async () => (await claim()).status?.phase === 'Bound');
    return undefined;
  },
  // After all that run: these fill the places of the worker.
  'waits-for-its-turn': async (name) => {
    for (const other of ['a', 'b', 'c', 'd']) await make(`${name}-behind-${other}`, slow());
    await make(name, slow());
    return isIn(name, 'ImportScheduled');
  },
};

async function namesOf(path: string): Promise<string[]> {
  return (await service.call<{ items: DataVolume[] }>('GET', path)).body.items.map(({ metadata }) => metadata.name);
}

/** Everything that is still there. */
async function left() {
  const doctor = await service.call<{
    nodes: { pools: { usage?: { reservedBytes: number } }[] }[];
    findings: object[];
  }>('GET', '/apis/longshore.dev/v1alpha1/doctor');
  const jobs = (await connection.keys('*')).filter((key) => key.includes('pvc-'));
  return {
    volumes: await namesOf(user.volumesPath),
    claims: await namesOf(claimsPath),
    files: await readdir(join(service.state.pool, 'volumes')),
    staged: user.staged(),
    reserved: doctor.body.nodes.map(({ pools }) => pools.map(({ usage }) => usage?.reservedBytes)),
    findings: doctor.body.findings,
    devices: await devicesBelow(service.directory),
    jobs,
  };
}

const nothing = {
  ...{ volumes: [], claims: [], files: [], staged: [], reserved: [[0]], findings: [], devices: [], jobs: [] },
};

test.each(['deleted', 'deleted while the worker is killed'])(
  '%s in every state, volumes leave nothing',
  async (how) => {
    const held: (AsyncDisposable | undefined)[] = [];
    for (const [state, reach] of Object.entries(states)) {
      held.push(await reach(state.replaceAll(/[^a-z-]/g, '')));
    }
    const names = [await namesOf(user.volumesPath), await namesOf(claimsPath)].flat();
    expect(names.length).toBeGreaterThan(Object.keys(states).length);
    const before = await left();
    expect(before.jobs.length).toBeGreaterThan(0);
    expect(before.files.length).toBeGreaterThan(8);
    expect(before.devices).toHaveLength(isRoot ? 1 : 0);
    const deleting = [
      ...(await namesOf(user.volumesPath)).map((name) => service.call('DELETE', `${user.volumesPath}/${name}`)),
      ...(await namesOf(claimsPath)).map((name) => service.call('DELETE', `${claimsPath}/${name}`)),
    ];
    if (how !== 'deleted') process.kill(service.state.processes['worker']?.pid ?? 0, 'SIGKILL');
    await Promise.all(deleting);
    for (const one of held) await one?.[Symbol.asyncDispose]();
    let last: object = {};
    const isGone = async () => {
      last = await left();
      expect(last).toEqual(nothing);
      return true;
    };
    await until('nothing is left', isGone, 60_000).catch((cause: unknown) => {
      throw new Error(`left: ${JSON.stringify(last)}`, { cause });
    });
  },
);
