// Imports by the whole controller, in real surroundings: store, Redis, and TLS to a worker whose pool is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import { resources } from '../domain/resources.ts';
import { ControllerFixture, http, key } from '../test/controller-fixture.ts';
import { failure, report } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
});
afterEach(() => fixture.close());

describe('an import', () => {
  test('a blank volume goes from created to Succeeded with CDI’s phases, conditions, events and annotations', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('blank', { source: { blank: {} } });
    const done = await fixture.phase('blank', 'Succeeded');
    const claim = await fixture.store.get(resources.claims, key('blank'));
    expect(done?.status?.progress).toBe('100.0%');
    expect(done?.status?.restartCount).toBeUndefined();
    expect(done?.status?.claimName).toBe('blank');
    expect(done?.status?.conditions).toMatchObject([
      { type: 'Bound', status: 'True', reason: 'Bound', message: 'PVC blank Bound' },
      { type: 'Ready', status: 'True' },
      { type: 'Running', status: 'False', reason: 'Completed', message: 'Import Complete' },
    ]);
    expect(done?.status?.longshore).toMatchObject({ node: 'local', attempt: 1, contentDigest: report.contentDigest });
    expect(claim?.status).toMatchObject({ phase: 'Bound', capacity: { storage: '1Mi' } });
    expect(claim?.spec.volumeName).toBe(`pvc-${claim?.metadata.uid}`);
    expect(claim?.metadata.annotations).toMatchObject({
      [annotations.podPhase]: 'Succeeded',
      [annotations.podRestarts]: '0',
      [annotations.selectedNode]: 'local',
      [annotations.path]: `/pool/volumes/pvc-${claim?.metadata.uid}/data/disk.img`,
    });
    expect(worker.inputs).toEqual([
      { operation: 'import', source: { kind: 'blank' }, sizeBytes: 1_048_576, preallocation: false },
    ]);
    await vi.waitFor(async () => {
      const reasons = (await fixture.eventsOf('DataVolume', 'blank')).map(({ reason }) => reason);
      expect(reasons).toEqual(expect.arrayContaining(['Bound', 'ImportSucceeded']));
    });
  });

  test('a permanent fault makes one attempt and Failed with the fault on the object', async () => {
    const worker = await fixture.worker();
    worker.script = async () => failure('SourceNotFound');
    await fixture.dataVolume('gone', http);
    const failed = await fixture.phase('gone', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('SourceNotFound');
    expect(failed?.status?.longshore?.attempt).toBe(1);
    expect(worker.inputs).toHaveLength(1);
    const claim = await fixture.store.get(resources.claims, key('gone'));
    expect(claim?.metadata.annotations?.[annotations.importFatalError]).toBe('true');
    await vi.waitFor(async () => {
      expect((await fixture.eventsOf('DataVolume', 'gone')).map(({ reason }) => reason)).toContain('ImportFailed');
      expect((await fixture.eventsOf('PersistentVolumeClaim', 'gone'))[0]?.reason).toBe('ErrImportFailed');
    });
  });

  test('a transient fault is tried again as the next attempt and counted', async () => {
    const worker = await fixture.worker();
    worker.script = async (job) => (job.attempt < 3 ? failure('SourceUnavailable', 10) : { ok: true, report });
    await fixture.dataVolume('flaky', http);
    const done = await fixture.phase('flaky', 'Succeeded');
    expect(done?.status?.restartCount).toBe(2);
    expect(done?.status?.longshore?.bytesFetched).toBe(20 + report.fetchedBytes);
    expect(done?.status?.longshore?.fault).toBeUndefined();
    expect(worker.inputs).toHaveLength(3);
  });

  test('what passes never ends when the limit of attempts is reached', async () => {
    await fixture.close();
    fixture = await ControllerFixture.start({ environment: { LONGSHORE_ATTEMPT_LIMIT: '2' } });
    const worker = await fixture.worker();
    worker.script = async () => failure('SourceUnreachable');
    await fixture.dataVolume('never', http);
    const failed = await fixture.phase('never', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('BudgetExhausted');
    expect(worker.inputs).toHaveLength(2);
  });

  test('what the machine lacks is waited for beyond the limit of attempts', async () => {
    await fixture.close();
    fixture = await ControllerFixture.start({ environment: { LONGSHORE_ATTEMPT_LIMIT: '2' } });
    const worker = await fixture.worker();
    worker.script = async (job) => (job.attempt < 5 ? failure('NoSpace') : { ok: true, report });
    await fixture.dataVolume('full', http);
    await fixture.phase('full', 'Succeeded');
    expect(worker.inputs).toHaveLength(5);
  });

  test('a source that changed while it was read by ranges is read in one pass then', async () => {
    const worker = await fixture.worker();
    worker.script = async (job) => (job.attempt === 1 ? failure('SourceChanged') : { ok: true, report });
    await fixture.dataVolume('changing', http);
    await fixture.phase('changing', 'Succeeded');
    const asked = worker.inputs.map((inputs) => ('source' in inputs ? inputs.source : undefined));
    expect(asked).toEqual([expect.not.objectContaining({ onePass: true }), expect.objectContaining({ onePass: true })]);
  });

  test('waits for its secret with a condition and goes on when it appears', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('secret', { source: { http: { url: 'http://127.0.0.1:1/x', secretRef: 'login' } } });
    await fixture.until(
      resources.dataVolumes,
      key('secret'),
      (found) => found?.status?.conditions?.some(({ reason }) => reason === 'SecretMissing') === true,
    );
    expect(worker.inputs).toEqual([]);
    const data = { accessKeyId: btoa('me'), secretKey: btoa('hush') };
    const metadata = key('login');
    await fixture.store.create(resources.secrets, { apiVersion: 'v1', kind: 'Secret', metadata, data });
    await fixture.phase('secret', 'Succeeded');
    expect(worker.inputs[0]).toMatchObject({ source: { credentials: { username: 'me', password: 'hush' } } });
  });

  test('progress comes to the status, and the phase is ImportInProgress', async () => {
    const worker = await fixture.worker();
    const go = Promise.withResolvers<void>();
    worker.script = async ({ volumeId, attempt }) => {
      const told = { volumeId, attempt, step: 'transfer' as const, bytesDone: 25, bytesTotal: 200, bytesFetched: 25 };
      worker.channel?.sendProgress({ ...told, bytesPerSecond: 5, etaSeconds: 35 });
      await go.promise;
      return { ok: true, report };
    };
    await fixture.dataVolume('slow', http);
    const running = await fixture.until(
      resources.dataVolumes,
      key('slow'),
      (found) => found?.status?.progress === '12.50%' && found.status.phase === 'ImportInProgress',
    );
    expect(running?.status?.longshore).toMatchObject({
      step: 'transfer',
      bytesDone: 25,
      bytesTotal: 200,
      etaSeconds: 35,
    });
    expect(running?.status?.conditions).toMatchObject([
      {},
      { reason: 'TransferRunning' },
      { reason: 'Pod is running' },
    ]);
    go.resolve();
    await fixture.phase('slow', 'Succeeded');
  });

  test('cancel by annotation ends it as Failed with Cancelled', async () => {
    const worker = await fixture.worker();
    worker.script = async () => undefined;
    const made = await fixture.dataVolume('stop', http);
    await fixture.phase('stop', 'ImportInProgress');
    const now = await fixture.store.get(resources.dataVolumes, key('stop'));
    const metadata = { ...(now ?? made).metadata, annotations: { [annotations.cancel]: 'true' } };
    const { resourceVersion: _, ...unversioned } = metadata;
    await fixture.store.update(resources.dataVolumes, { ...(now ?? made), metadata: unversioned });
    const failed = await fixture.phase('stop', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('Cancelled');
    await vi.waitFor(() => expect(worker.calls).toContain('attempt.cancel'));
  });

  test('a source that is not supported ends as Failed without a volume', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('engine', { source: { imageio: { url: 'https://engine', diskId: 'x' } } });
    const failed = await fixture.phase('engine', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('UnsupportedSource');
    expect(worker.volumes.size).toBe(0);
  });
});
