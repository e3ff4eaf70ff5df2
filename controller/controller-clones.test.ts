// Clones by the whole controller, in real surroundings: store, Redis, and TLS to a worker whose pool is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import { resources } from '../domain/resources.ts';
import type { Outcome } from '../jobs/channel-protocol.ts';
import { ControllerFixture, key } from '../test/controller-fixture.ts';
import { failure } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
});
afterEach(() => fixture.close());

describe('a clone', () => {
  test('waits for its source, then names its volume to the worker of the same node', async () => {
    const worker = await fixture.worker();
    const source = { pvc: { namespace: 'default', name: 'origin' } };
    await fixture.dataVolume('copy', { source });
    const waits = await fixture.until(
      resources.dataVolumes,
      key('copy'),
      (found) => found?.status?.conditions?.[0]?.reason === 'CloneWithoutSource',
    );
    expect(waits?.status?.conditions?.[0]?.message).toBe("The source pvc origin doesn't exist");
    await fixture.dataVolume('origin', { source: { blank: {} } });
    await fixture.phase('copy', 'Succeeded');
    const origin = await fixture.store.get(resources.claims, key('origin'));
    expect(worker.inputs[1]).toMatchObject({ operation: 'clone', sourceVolumeId: `pvc-${origin?.metadata.uid}` });
    await vi.waitFor(async () => {
      const events = await fixture.eventsOf('DataVolume', 'copy');
      expect(events).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ reason: 'CloneWithoutSource', count: 1, type: 'Warning' }),
          expect.objectContaining({
            reason: 'CloneSucceeded',
            message: 'Successfully cloned from default/origin into default/copy',
          }),
        ]),
      );
    });
  });

  test('fails with its source, also where it was waiting for it, and says why at once', async () => {
    const worker = await fixture.worker();
    const imported = Promise.withResolvers<Outcome>();
    worker.script = () => imported.promise;
    await fixture.dataVolume('origin', { source: { http: { url: 'http://images.example/page.html' } } });
    const source = { pvc: { namespace: 'default', name: 'origin' } };
    await fixture.dataVolume('early', { source });
    await fixture.until(
      resources.dataVolumes,
      key('early'),
      (found) => found?.status?.longshore?.fault?.code === 'SourceNotReady',
    );
    imported.resolve(failure('NotADiskImage'));
    await fixture.phase('origin', 'Failed');
    await fixture.dataVolume('late', { source });
    for (const name of ['early', 'late']) {
      const failed = await fixture.phase(name, 'Failed');
      const running = failed?.status?.conditions?.find(({ type }) => type === 'Running');
      expect(running?.message).toContain('default/origin: NotADiskImage');
      expect(failed?.status?.longshore).toMatchObject({
        attempt: 1,
        fault: { code: 'SourceFailed', retryable: false },
      });
    }
    expect(worker.inputs).toHaveLength(1);
  });

  test('between namespaces is refused where the API named no requester', async () => {
    const worker = await fixture.worker();
    await fixture.store.create(resources.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'other' },
    });
    await fixture.dataVolume('origin', { source: { blank: {} } });
    await fixture.phase('origin', 'Succeeded');
    const spec = {
      source: { pvc: { namespace: 'default', name: 'origin' } },
      storage: { resources: { requests: { storage: '1Mi' } } },
    };
    const made = (name: string, told: Record<string, string>) => ({
      apiVersion: 'cdi.kubevirt.io/v1beta1' as const,
      kind: 'DataVolume' as const,
      metadata: { namespace: 'other', name, annotations: told },
      spec,
    });
    await fixture.store.create(resources.dataVolumes, made('thief', {}));
    await fixture.store.create(resources.dataVolumes, made('friend', { [annotations.requester]: 'admin' }));
    const at = (name: string) => ({ namespace: 'other', name });
    const phase = (wanted: string) => (found?: { status?: { phase?: string } }) => found?.status?.phase === wanted;
    const failed = await fixture.until(resources.dataVolumes, at('thief'), phase('Failed'));
    expect(failed?.status?.longshore?.fault?.code).toBe('CloneForbidden');
    await fixture.until(resources.dataVolumes, at('friend'), phase('Succeeded'));
    expect(worker.volumes.size).toBe(2);
  });
});
