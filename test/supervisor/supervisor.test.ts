// `longshore up` as a person meets it: what it says, what it refuses, what it starts again, and that it leaves nothing running.
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { faultCatalogue } from '../../domain/fault-catalogue.ts';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { identityOf } from '../../runtime/process-identity.ts';
import { Service, until } from '../service-fixture.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const volumes = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';

function blank(name: string) {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name },
    spec: {
      source: { blank: {} },
      pvc: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '64Mi' } } },
    },
  };
}

async function makeBlank(service: Service, name: string): Promise<void> {
  expect((await service.call('POST', volumes, blank(name))).status).toBe(201);
  await until(`${name} has succeeded`, async () => {
    const { body } = await service.call<{ status?: { phase?: string } }>('GET', `${volumes}/${name}`);
    return body.status?.phase === 'Succeeded';
  });
}

describe('a running service', () => {
  let service: Service;
  const undo = new AsyncDisposableStack();
  beforeAll(async () => {
    service = await Service.start({ directory: await temporaryDirectory(undo, 'up') });
  });
  afterAll(async () => {
    await service.stop();
    await undo.disposeAsync();
  });

  test('makes a blank volume', async () => {
    await makeBlank(service, 'first');
  });

  test('tells where it serves and keeps secrets to its user', () => {
    expect(service.output).toContain(service.state.api);
    expect(service.output).toContain(service.state.uploadProxy);
    expect(readFileSync(service.kubeconfig, 'utf8')).toContain(service.state.api);
  });

  test('refuses a second one in the same directory', async () => {
    const second = await Service.spawn({ directory: service.directory });
    const end = await second.ended;
    expect(end.code).toBe(faultCatalogue.AlreadyRunning.exit);
    expect(second.output).toMatch(new RegExp(`^AlreadyRunning: ${faultCatalogue.AlreadyRunning.sentence}$`, 'm'));
    expect((await service.probe('api', 'livez')).status).toBe(200);
  });

  test.each(['redis', 'api', 'uploadproxy', 'worker'])('starts %s again when it is killed', async (name) => {
    const before = service.state.processes[name]?.pid ?? 0;
    process.kill(before, 'SIGKILL');
    await until(`${name} runs again`, () => service.state.processes[name]?.pid !== before);
    await until('the worker is ready', async () => (await service.probe('worker', 'readyz')).status === 200);
    await makeBlank(service, `after-${name}`);
  });

  test('kills a process that hangs and starts it again', async () => {
    const before = service.state.processes['worker']?.pid ?? 0;
    process.kill(before, 'SIGSTOP');
    await until('the worker is another one', () => service.state.processes['worker']?.pid !== before, 45_000);
    expect(identityOf(before)).toBeUndefined();
    await makeBlank(service, 'after-hang');
  });

  test('keeps its objects, its token and nothing running over a stop', async () => {
    const token = service.adminToken;
    const end = await service.end('SIGTERM');
    expect(end).toEqual({ code: 0, signal: null });
    expect(existsSync(join(service.directory, 'up.json'))).toBe(false);
    const again = await Service.start({ directory: service.directory });
    expect(again.adminToken).toBe(token);
    const { body } = await again.call<{ status?: { phase?: string } }>('GET', `${volumes}/first`);
    expect(body.status?.phase).toBe('Succeeded');
    expect(await again.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    service = await Service.start({ directory: service.directory });
    await makeBlank(service, 'after-kill');
  });
});

describe('a service that cannot start says why and leaves nothing running', () => {
  test('an address that is taken', async () => {
    const other = createServer();
    const { port } = await listenOn(other, { host: '127.0.0.1', port: 0 });
    const service = await Service.spawn({ words: ['--listen', `127.0.0.1:${port}`] });
    const end = await service.ended;
    await closeServer(other);
    expect(end.code).toBe(faultCatalogue.AddressInUse.exit);
    expect(service.output).toContain(faultCatalogue.AddressInUse.sentence);
    expect(service.output).toContain(faultCatalogue.AddressInUse.nextStep);
    expect(existsSync(join(service.directory, 'up.json'))).toBe(false);
    await rm(service.directory, { recursive: true });
  });

  test('a pool that another service owns', async () => {
    await using undo = new AsyncDisposableStack();
    // Its mark lies beside it.
    const pool = join(await temporaryDirectory(undo, 'pool'), 'pool');
    await mkdir(pool);
    const owner = await Service.start({ words: ['--pool', pool] });
    const second = await Service.spawn({ words: ['--pool', pool] });
    const end = await second.ended;
    expect(second.output).toContain(faultCatalogue.PoolInUse.sentence);
    expect(end.code).toBe(faultCatalogue.PoolInUse.exit);
    await owner.stop();
    await rm(second.directory, { recursive: true });
  });

  test.each(['/proc/longshore', '/dev/null', '/dev/null/below'])('a data directory %s that cannot be', async (path) => {
    const service = await Service.spawn({ directory: path });
    expect(await service.ended).toEqual({ code: faultCatalogue.InvalidSetting.exit, signal: null });
    expect(service.output).toContain(faultCatalogue.InvalidSetting.sentence);
    expect(service.output).toContain(`data directory (--data, LONGSHORE_DATA) ${path}: `);
  });

  test.each(['/proc/longshore', '/dev/null', '/dev/null/below'])('a pool %s that cannot be', async (path) => {
    const service = await Service.spawn({ words: ['--pool', path] });
    expect(await service.ended).toEqual({ code: faultCatalogue.InvalidSetting.exit, signal: null });
    expect(service.output).toContain(`pool (--pool, LONGSHORE_POOL) ${path}: `);
    expect(existsSync(join(service.directory, 'up.json'))).toBe(false);
    await rm(service.directory, { recursive: true });
  });

  test('a setting and an argument that mean nothing', async () => {
    const setting = await Service.spawn({ environment: { LONGSHORE_DRAIN_S: 'soon' } });
    expect((await setting.ended).code).toBe(faultCatalogue.InvalidSetting.exit);
    expect(setting.output).toContain('LONGSHORE_DRAIN_S=soon');
    const word = await Service.spawn({ words: ['--colour'] });
    expect((await word.ended).code).toBe(faultCatalogue.InvalidRequest.exit);
    for (const { directory } of [setting, word]) await rm(directory, { recursive: true });
  });
});
