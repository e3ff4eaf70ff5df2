// The same commands by a real kubectl, where one is on the PATH.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EventRecorder } from '../../controller/event-recorder.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { resources } from '../../domain/resources.ts';
import { loadConfig } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { ApiUnderTest, claim, dataVolume } from './running-api.ts';

function foundKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const reason = foundKubectl() ? '' : ' (skipped: no kubectl on the PATH)';

describe.skipIf(reason !== '')(`a real kubectl${reason}`, () => {
  let under: ApiUnderTest;
  let environment: Record<string, string>;
  beforeAll(async () => {
    under = await ApiUnderTest.start();
    environment = {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      KUBECONFIG: await under.kubeconfig(),
      HOME: under.directory,
      EDITOR: "sed -i 's/colour: red/colour: blue/'",
    };
  });
  afterAll(() => under.close());

  /** @returns exit code and what it printed on both. */
  function kubectl(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    return new Promise((resolve) => {
      execFile('kubectl', args, { env: environment, timeout: 30_000 }, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err });
      });
    });
  }

  async function file(name: string, object: object): Promise<string> {
    const path = join(under.directory, name);
    await writeFile(path, JSON.stringify(object));
    return path;
  }

  async function setStatus(name: string, status: NonNullable<DataVolume['status']>): Promise<void> {
    const stored = await under.store.get(resources.dataVolumes, { namespace: 'default', name });
    if (stored === undefined) throw new Error(`no DataVolume ${name}`);
    await under.store.updateStatus(resources.dataVolumes, { ...stored, status });
  }

  test('apply creates, changes, leaves alone, and removes what is no longer said', async () => {
    const labelled = dataVolume('a', { metadata: { name: 'a', labels: { colour: 'red' } } });
    expect((await kubectl('apply', '-f', await file('1.yaml', labelled))).out).toContain(
      'datavolume.cdi.kubevirt.io/a created',
    );
    expect((await kubectl('apply', '-f', await file('1.yaml', labelled))).out).toContain('unchanged');
    expect((await kubectl('apply', '-f', await file('2.yaml', dataVolume('a')))).out).toContain('configured');
    const { out } = await kubectl('get', 'dv', 'a', '-o', 'jsonpath={.metadata.labels}');
    expect(out).toBe('');
  });

  test('get, describe and events show what the status says', async () => {
    await setStatus('a', { phase: 'ImportInProgress', progress: '45.34%', restartCount: 1 });
    await under.store.create(resources.events, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: '', generateName: 'a.', namespace: 'default' },
      involvedObject: {
        kind: 'DataVolume',
        namespace: 'default',
        name: 'a',
        uid: under.store.entry(resources.dataVolumes, { namespace: 'default', name: 'a' })?.uid ?? '',
      },
      reason: 'ImportInProgress',
      message: 'Import into a in progress',
      type: 'Normal',
      lastTimestamp: new Date().toISOString(),
    });
    expect((await kubectl('get', 'dv', '-A')).out).toMatch(
      /NAMESPACE +NAME +PHASE +PROGRESS +RESTARTS +AGE\ndefault +a +ImportInProgress +45.34% +1 +\d+s/,
    );
    const described = await kubectl('describe', 'dv', 'a');
    expect(described.out).toMatch(/Progress: +45.34%/);
    expect(described.out).toContain('Import into a in progress');
    expect((await kubectl('get', 'events')).out).toMatch(
      /Normal +ImportInProgress +datavolume\/a +Import into a in progress/,
    );
  });

  test('events of one second are shown in the order in which they happened', async () => {
    const recorder = new EventRecorder(
      under.store,
      createLogger(loadConfig({ LONGSHORE_LOG_LEVEL: 'silent' }), 'test'),
    );
    const reasons = Array.from({ length: 30 }, (_, n) => `Burst${n}`);
    const { uid = '' } = under.store.entry(resources.dataVolumes, { namespace: 'default', name: 'a' }) ?? {};
    const metadata = { namespace: 'default', name: 'a', uid };
    const object = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata };
    for (const reason of reasons) recorder.record(object, { type: 'Normal', reason, message: 'as the test says' });
    await recorder.drained();
    const shown = async (...args: string[]) => (await kubectl(...args)).out.match(/Burst\d+/g);
    for (const field of ['lastTimestamp', 'firstTimestamp', 'eventTime']) {
      expect(await shown('get', 'events', `--sort-by=.${field}`)).toEqual(reasons);
    }
    expect(await shown('events', '--for', 'dv/a')).toEqual(reasons);
    expect(new Set(await shown('describe', 'dv', 'a'))).toEqual(new Set(reasons));
  });

  test('get -w prints changes as they come', async () => {
    const watching = spawn('kubectl', ['get', 'dv', 'a', '-w', '--no-headers'], { env: environment });
    const lines = createInterface({ input: watching.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toContain('45.34%');
    await setStatus('a', { phase: 'Succeeded', progress: '100.0%' });
    expect((await lines.next()).value).toMatch(/Succeeded +100.0%/);
    watching.kill('SIGKILL');
    await once(watching, 'close');
  });

  test('wait ends when the condition comes', async () => {
    const waiting = kubectl('wait', 'dv/a', '--for=condition=Ready', '--timeout=20s');
    const follow = under.store.watch(resources.dataVolumes, { signal: AbortSignal.timeout(20_000) });
    for await (const event of follow) if (event.type === 'BOOKMARK') break;
    await setStatus('a', { phase: 'Succeeded', conditions: [{ type: 'Ready', status: 'True' }] });
    expect((await waiting).out).toContain('condition met');
    expect((await kubectl('wait', 'dv/a', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=5s')).code).toBe(0);
  });

  test('apply --server-side takes over, and tells a conflict', async () => {
    const red = dataVolume('a', { metadata: { name: 'a', labels: { colour: 'red' } } });
    const path = await file('3.yaml', red);
    expect((await kubectl('apply', '--server-side', '-f', path)).out).toContain('serverside-applied');
    const blue = dataVolume('a', { metadata: { name: 'a', labels: { colour: 'blue' } } });
    const other = await file('4.yaml', blue);
    const refused = await kubectl('apply', '--server-side', '--field-manager=other', '-f', other);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('conflict with "kubectl"')]);
    const forced = await kubectl('apply', '--server-side', '--force-conflicts', '--field-manager=other', '-f', other);
    expect(forced.code).toBe(0);
    expect((await kubectl('get', 'dv', 'a', '-o', 'jsonpath={.metadata.labels.colour}')).out).toBe('blue');
  });

  test('label, annotate, patch and edit change the object', async () => {
    expect((await kubectl('label', 'dv', 'a', 'colour=red', '--overwrite')).out).toContain('labeled');
    expect((await kubectl('annotate', 'dv', 'a', 'k=v')).out).toContain('annotated');
    expect((await kubectl('patch', 'dv', 'a', '--type=merge', '-p', '{"metadata":{"labels":{"x":"y"}}}')).code).toBe(0);
    const operation = '[{"op":"replace","path":"/metadata/labels/x","value":"z"}]';
    expect((await kubectl('patch', 'dv', 'a', '--type=json', '-p', operation)).code).toBe(0);
    expect((await kubectl('edit', 'dv', 'a')).out).toContain('edited');
    const labels = await kubectl('get', 'dv', 'a', '-o', 'jsonpath={.metadata.labels}');
    expect(JSON.parse(labels.out)).toEqual({ colour: 'blue', x: 'z' });
  });

  test('claims take strategic merge patches and are described', async () => {
    expect((await kubectl('apply', '-f', await file('5.yaml', claim('p')))).code).toBe(0);
    expect((await kubectl('patch', 'pvc', 'p', '-p', '{"metadata":{"labels":{"x":"y"}}}')).code).toBe(0);
    expect((await kubectl('get', 'pvc')).out).toMatch(/p +Pending +longshore/);
    expect((await kubectl('describe', 'pvc', 'p')).out).toMatch(/Used By: +<none>/);
  });

  test('explain shows the descriptions, and can-i and whoami answer', async () => {
    const explained = await kubectl('explain', 'dv.status');
    expect(explained.out).toContain('DataVolumeStatus contains the current status of the DataVolume');
    expect((await kubectl('explain', 'dv.spec.source.http')).out).toContain('an image served over HTTP');
    expect((await kubectl('auth', 'can-i', 'create', 'dv')).out.trim()).toBe('yes');
    expect((await kubectl('auth', 'can-i', '--list')).out).toContain('*.*');
    expect((await kubectl('auth', 'whoami')).out).toMatch(/Username +admin/);
  });

  test('can-i tells what a role may do with a part of an object', async () => {
    const token = await under.user('erin', 'edit', ['default']);
    const mayErin = async (...args: string[]) => {
      const { code, out } = await kubectl('auth', 'can-i', ...args, '--token', token);
      return [code, out.trim()];
    };
    const source = ['create', 'datavolumes.cdi.kubevirt.io', '--subresource=source'];
    expect(await mayErin(...source)).toEqual([0, 'yes']);
    expect(await mayErin(...source, '-n', 'longshore')).toEqual([1, 'no']);
    expect(await mayErin('get', 'dv', '--subresource=status')).toEqual([0, 'yes']);
    expect(await mayErin('update', 'dv', '--subresource=status')).toEqual([1, 'no']);
    expect(await mayErin('update', 'dv')).toEqual([0, 'yes']);
    expect(await mayErin('patch', 'pvc/a', '--subresource=status')).toEqual([1, 'no']);
    expect((await kubectl('auth', 'can-i', 'update', 'dv', '--subresource=status')).out.trim()).toBe('yes');
  });

  test('create --validate=strict, which reads the schemas, tells what is unknown and takes what is right', async () => {
    const unknown = dataVolume('strict', { spec: { source: { blank: {} }, colour: 'red', storage: {} } });
    const refused = await kubectl('create', '--validate=strict', '-f', await file('strict-1.yaml', unknown));
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('unknown field "spec.colour"')]);
    const files = [
      await file('strict-2.yaml', dataVolume('strict')),
      await file('strict-3.yaml', claim('strict-claim')),
    ];
    const right = files.flatMap((path) => ['-f', path]);
    expect((await kubectl('create', '--validate=strict', ...right)).out).toMatch(
      /strict created[\s\S]*strict-claim created/,
    );
    expect((await kubectl('apply', '--validate=strict', ...right)).code).toBe(0);
    const labelled = { ...claim('strict-claim'), metadata: { name: 'strict-claim', labels: { colour: 'red' } } };
    const applied = await kubectl('apply', '-f', await file('strict-4.yaml', labelled));
    expect([applied.err, applied.out]).toEqual(['', expect.stringContaining('strict-claim configured')]);
    expect((await kubectl('delete', ...right)).code).toBe(0);
  });

  test('mistakes are told in sentences', async () => {
    const wrong = dataVolume('b', { spec: { source: {}, storage: { resources: { requests: { storage: '1Gi' } } } } });
    const refused = await kubectl('apply', '-f', await file('6.yaml', wrong));
    expect(refused.err).toContain('Missing Data volume source');
    const unknown = dataVolume('b', { spec: { source: { blank: {} }, colour: 'red', storage: {} } });
    expect((await kubectl('create', '-f', await file('7.yaml', unknown))).err).toContain('unknown field "spec.colour"');
    expect((await kubectl('create', 'configmap', 'c', '-n', 'nowhere')).err).toContain(
      'namespaces "nowhere" not found',
    );
    expect((await kubectl('get', 'dv', 'nothing')).err).toContain('datavolumes.cdi.kubevirt.io "nothing" not found');
  });

  test('namespaces, secrets and config maps come and go', async () => {
    expect((await kubectl('create', 'namespace', 'n')).code).toBe(0);
    expect((await kubectl('-n', 'n', 'create', 'secret', 'generic', 's', '--from-literal=a=b')).code).toBe(0);
    expect((await kubectl('-n', 'n', 'create', 'configmap', 'c', '--from-literal=a=b')).code).toBe(0);
    expect((await kubectl('-n', 'n', 'get', 'secret,cm')).out).toMatch(/secret\/s +Opaque +1/);
    expect((await kubectl('delete', 'namespace', 'n')).code).toBe(0);
    expect(under.store.entries(resources.secrets, { namespace: 'n' })).toEqual([]);
  });

  test('a collection is deleted by its labels', async () => {
    for (const name of ['c1', 'c2', 'c3']) await kubectl('create', 'configmap', name);
    await kubectl('label', 'configmap', 'c1', 'c2', 'goes=yes');
    const path = '/api/v1/namespaces/default/configmaps?labelSelector=goes%3Dyes';
    expect(JSON.parse((await kubectl('delete', '--raw', path)).out)).toMatchObject({ kind: 'ConfigMapList' });
    expect((await kubectl('get', 'configmap', '-o', 'name')).out).toBe('configmap/c3\n');
  });

  test('delete removes, and waits until it is gone', async () => {
    expect((await kubectl('delete', 'dv', 'a')).out).toContain('deleted');
    expect(under.store.entries(resources.dataVolumes)).toEqual([]);
    expect((await kubectl('delete', 'pvc', '--all')).code).toBe(0);
    expect((await kubectl('get', 'dv,pvc')).err).toContain('No resources found');
  });
});
