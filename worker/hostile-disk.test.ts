// A pod that mounts a volume may put anything in the place of its disk; the worker, which may read everything on the node, gives nothing of that away.
import { execFileSync } from 'node:child_process';
import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WorkerFixture } from '../test/worker-fixture.ts';

const sizeBytes = 1024 * 1024;
const waiting = { timeout: 20_000, interval: 20 };

let fixture: WorkerFixture;
beforeEach(async () => {
  fixture = await WorkerFixture.start();
  await vi.waitFor(() => expect(fixture.controller.hellos).toBe(1), waiting);
});
afterEach(() => fixture.close());

async function ended(volumeId: string) {
  await vi.waitFor(() => expect(fixture.controller.outcomeOf(volumeId, 1)).toBeDefined(), waiting);
  return fixture.controller.outcomeOf(volumeId, 1);
}

async function blankVolume(): Promise<string> {
  const volumeId = await fixture.volume(sizeBytes);
  const inputs = { operation: 'import' as const, source: { kind: 'blank' as const }, sizeBytes, preallocation: false };
  fixture.controller.inputs.set(`${volumeId}.1`, inputs);
  await fixture.enqueue('import', volumeId);
  expect(await ended(volumeId)).toMatchObject({ ok: true });
  return volumeId;
}

test.each<[string, (disk: string) => Promise<unknown>]>([
  ['a link to a file of the node', (disk) => symlink(join(fixture.directory, 'secret'), disk)],
  ['a pipe', async (disk) => execFileSync('mkfifo', [disk])],
])('%s in place of a disk is neither cloned nor digested', async (_what, put) => {
  await writeFile(join(fixture.directory, 'secret'), Buffer.alloc(sizeBytes, 's'));
  const sourceVolumeId = await blankVolume();
  await rm(fixture.diskOf(sourceVolumeId));
  await put(fixture.diskOf(sourceVolumeId));
  const volumeId = await fixture.volume(sizeBytes);
  const inputs = { operation: 'clone' as const, sourceVolumeId, sizeBytes, preallocation: false };
  fixture.controller.inputs.set(`${volumeId}.1`, inputs);
  await fixture.enqueue('clone', volumeId);
  expect(await ended(volumeId)).toMatchObject({ ok: false, fault: { code: 'HostileImage', retryable: false } });
  expect(await fixture.stagings()).toEqual([]);
  for (const sha256 of [false, true]) {
    const asked = fixture.channel.call('volume.digest', { volumeId: sourceVolumeId, sha256 });
    await expect(asked).rejects.toMatchObject({ code: 'HostileImage' });
  }
});
