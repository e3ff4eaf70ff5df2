// What a new store does with the volumes of pools that it sees one after the other, by the whole controller over a worker whose pools are scripted.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { resources } from '../../domain/resources.ts';
import { volumeIdOf } from '../../domain/volume-record.ts';
import { ControllerFixture, key } from '../../test/controller-fixture.ts';
import { faultOf, poolState, report, type ScriptedWorker } from '../../test/scripted-worker.ts';

let fixture: ControllerFixture;
let worker: ScriptedWorker;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 100, restores: true });
});
afterEach(() => fixture.close());

const away = { name: 'fast', directory: '/pools/fast', fault: faultOf('PoolMissing') };

function hold(last: number, name: string, createdAt = '2026-01-01T00:00:00Z'): string {
  const uid = `00000000-0000-4000-8000-00000000000${last}`;
  worker.volumes.set(volumeIdOf(uid), {
    ...{ schemaVersion: 1, volumeId: volumeIdOf(uid), owner: { namespace: 'default', name, uid }, pool: 'default' },
    ...{ mode: 'Filesystem', sizeBytes: 1_048_576, generation: 1, state: 'complete', fence: 1, report },
    ...{ createdAt, committedAt: createdAt },
  });
  return uid;
}

const claimOf = (name: string) => fixture.store.get(resources.claims, key(name));

test('volumes come back as their pools do, of two for one name the newer; later ones wait for somebody to ask', async () => {
  let newer = '';
  await fixture.worker('local', (made) => {
    worker = made;
    worker.pools = [poolState('default'), away];
    hold(1, 'disk');
    newer = hold(2, 'disk', '2026-01-02T00:00:00Z');
  });
  const disk = await fixture.phase('disk', 'Succeeded');
  expect((await claimOf('disk'))?.metadata.uid).toBe(newer);
  expect(disk?.status?.longshore).toMatchObject({ contentDigest: report.contentDigest });

  worker.pools = [poolState('default'), poolState('fast')];
  // Longer than from one sweep to the next: nobody may think meanwhile that all was seen.
  worker.inventoryDelayMs = 400;
  const late = hold(3, 'late');
  await worker.channel?.call('pools.changed', { pools: worker.pools });
  await fixture.phase('late', 'Succeeded');
  expect((await claimOf('late'))?.metadata.uid).toBe(late);
  await vi.waitFor(async () =>
    expect((await fixture.store.get(resources.namespaces, { name: 'default' }))?.metadata.annotations).toEqual({}),
  );

  await worker.disconnect();
  hold(4, 'later');
  await worker.connect();
  const found = await vi.waitFor(async () => {
    const { findings = [] } = (await fixture.controller?.operations.doctor()) ?? {};
    expect(findings.map(({ path }) => path.at(-1))).toEqual(['1', '4']);
    return findings;
  });
  expect(await claimOf('later')).toBeUndefined();
  const [older, asked] = found;
  if (older === undefined || asked === undefined) throw new Error('nothing was found');
  await expect(fixture.controller?.operations.restoreFinding(older)).rejects.toMatchObject({ code: 'AlreadyExists' });
  await fixture.controller?.operations.restoreFinding(asked);
  await fixture.phase('later', 'Succeeded');
  expect(worker.calls).not.toContain('volume.delete');
});
