// Uploads by the whole controller, in real surroundings: store, Redis, and TLS to a worker whose pool is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import { resources } from '../domain/resources.ts';
import { ControllerFixture, key } from '../test/controller-fixture.ts';
import { failure, faultOf, report } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
});
afterEach(() => fixture.close());

describe('an upload', () => {
  test('opens a slot, converts what came, and ends Succeeded', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('up', { source: { upload: {} } });
    await fixture.phase('up', 'UploadReady');
    const claim = await fixture.store.get(resources.claims, key('up'));
    expect(claim?.metadata.annotations).toMatchObject({
      [annotations.podPhase]: 'Running',
      [annotations.podReady]: 'true',
      [annotations.uploadTarget]: '',
    });
    const [volumeId = ''] = worker.volumes.keys();
    worker.slots.clear();
    worker.received.set(volumeId, 1);
    await worker.channel?.call('upload.received', { volumeId, attempt: 1, bytes: 5 });
    await fixture.phase('up', 'Succeeded');
    expect(worker.inputs).toMatchObject([{ operation: 'convert' }]);
    await vi.waitFor(async () => {
      const reasons = (await fixture.eventsOf('DataVolume', 'up')).map(({ reason }) => reason);
      expect(reasons).toEqual(expect.arrayContaining(['UploadReady', 'UploadSucceeded']));
    });
  });

  test('an image that cannot be taken is told, and the next upload is waited for', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('bad', { source: { upload: {} } });
    await fixture.phase('bad', 'UploadReady');
    const [volumeId = ''] = worker.volumes.keys();
    worker.slots.clear();
    await worker.tell(volumeId, 1, failure('CorruptImage'));
    const again = await fixture.until(
      resources.dataVolumes,
      key('bad'),
      (found) => found?.status?.longshore?.attempt === 2 && found.status.phase === 'UploadReady',
    );
    expect(again?.status?.longshore?.fault?.code).toBe('CorruptImage');
    await vi.waitFor(() => expect(worker.slots.get(volumeId)).toBe(2));
    await worker.tell(volumeId, 2, { ok: true, report });
    await fixture.phase('bad', 'Succeeded');
  });

  test('one that leaves nothing behind is told while its slot waits for the next', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('again', { source: { upload: {} } });
    await fixture.phase('again', 'UploadReady');
    const [volumeId = ''] = worker.volumes.keys();
    await worker.channel?.call('upload.failed', { volumeId, attempt: 1, fault: faultOf('HostileImage') });
    const running = (found?: DataVolume) => found?.status?.conditions?.find(({ type }) => type === 'Running');
    const failed = await fixture.until(
      resources.dataVolumes,
      key('again'),
      (found) => found?.status?.longshore?.fault?.code === 'HostileImage' && running(found)?.status === 'False',
    );
    expect(running(failed)).toMatchObject({ reason: 'Error', message: expect.stringContaining('HostileImage') });
    expect(failed?.status).toMatchObject({ phase: 'UploadReady', longshore: { attempt: 1 } });
    const claim = await fixture.store.get(resources.claims, key('again'));
    expect(claim?.metadata.annotations).toMatchObject({
      [annotations.podPhase]: 'Running',
      [annotations.podReady]: 'true',
    });
    await vi.waitFor(async () => {
      const events = await fixture.eventsOf('DataVolume', 'again');
      expect(events).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'Error' }));
    });
    const told = { volumeId, attempt: 1, step: 'transfer' as const, bytesDone: 1, bytesFetched: 1 };
    worker.channel?.sendProgress(told);
    await fixture.until(resources.dataVolumes, key('again'), (found) => running(found)?.status === 'True');
    await worker.tell(volumeId, 1, { ok: true, report });
    const done = await fixture.phase('again', 'Succeeded');
    expect(done?.status?.longshore?.fault).toBeUndefined();
    expect(done?.status?.restartCount).toBeUndefined();
  });

  test('into a claim without a DataVolume, as virtctl makes one', async () => {
    const worker = await fixture.worker();
    await fixture.claim('bare', { [annotations.uploadTarget]: '' });
    const ready = (found?: { metadata: { annotations?: Record<string, string> } }) =>
      found?.metadata.annotations?.[annotations.podReady] === 'true';
    await fixture.until(resources.claims, key('bare'), ready);
    const [volumeId = ''] = worker.volumes.keys();
    await worker.tell(volumeId, 1, { ok: true, report });
    await fixture.until(
      resources.claims,
      key('bare'),
      (found) => found?.metadata.annotations?.[annotations.podPhase] === 'Succeeded',
    );
  });
});
