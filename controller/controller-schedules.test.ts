// Schedules by the whole controller, in real surroundings: store, Redis, and TLS to a worker that says what every source has.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations, labels } from '../domain/annotations.ts';
import type { DataImportCron, DataImportCronSpec } from '../domain/custom-resources/data-import-cron.ts';
import type { DataVolumeSource } from '../domain/data-volume.ts';
import { Fault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import { digestOfVersion, importNameOf } from '../domain/source-version.ts';
import { metrics } from '../runtime/metrics.ts';
import { ControllerFixture, key } from '../test/controller-fixture.ts';
import { cronOf } from '../test/data-import-cron-examples.ts';
import { failure, report, type ScriptedWorker } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
let worker: ScriptedWorker;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
  worker = await fixture.worker();
});
afterEach(() => fixture.close());

const nameOf = (etag: string) => importNameOf('fedora', digestOfVersion({ etag })) ?? '';

async function makeCron(spec: Partial<DataImportCronSpec> & { source?: DataVolumeSource } = {}): Promise<void> {
  const { metadata, ...cron } = cronOf(spec);
  const { uid: _uid, ...others } = metadata;
  await fixture.store.create(resources.dataImportCrons, { ...cron, metadata: others });
}

/** As anybody does who wants a look at once. */
async function lookNow(): Promise<void> {
  const cron = await fixture.store.get(resources.dataImportCrons, key('fedora-cron'));
  if (cron === undefined) throw new Error('there is no cron');
  const { resourceVersion: _any, ...metadata } = cron.metadata;
  const passed = { ...metadata.annotations, [annotations.nextCronTime]: '2020-01-01T00:00:00Z' };
  await fixture.store.update(resources.dataImportCrons, { ...cron, metadata: { ...metadata, annotations: passed } });
}

function condition(cron: DataImportCron | undefined, type: string): string {
  const found = cron?.status?.conditions?.find((each) => each.type === type);
  return `${found?.status} ${found?.reason}`;
}

function upToDate(value: string): Promise<DataImportCron | undefined> {
  return fixture.until(resources.dataImportCrons, key('fedora-cron'), (cron) => condition(cron, 'UpToDate') === value);
}

function names(name: string): Promise<unknown> {
  return fixture.until(resources.dataSources, key('fedora'), (found) => {
    const ready = found?.status?.conditions?.[0]?.status === 'True';
    return ready && found?.spec.source.pvc?.name === name && found.status?.source?.pvc?.name === name;
  });
}

const gone = (name: string) => fixture.until(resources.dataVolumes, key(name), (found) => found === undefined);

describe('a schedule', () => {
  test('imports what its source has, then what is newer, and lets the old go', async () => {
    await makeCron({ importsToKeep: 1 });
    const first = await upToDate('True UpToDate');
    expect(first?.status).toMatchObject({
      currentImports: [{ DataVolumeName: nameOf('"1"'), Digest: digestOfVersion({ etag: '"1"' }) }],
      lastImportedPVC: { namespace: 'default', name: nameOf('"1"') },
      sourceFormat: 'pvc',
    });
    await names(nameOf('"1"'));
    worker.version = () => ({ etag: '"2"' });
    await lookNow();
    await names(nameOf('"2"'));
    await upToDate('True UpToDate');
    await gone(nameOf('"1"'));
    await vi.waitFor(async () => {
      const reasons = (await fixture.eventsOf('DataImportCron', 'fedora-cron')).map(({ reason }) => reason);
      expect(reasons).toEqual(['DataSourceUpdated', 'ImportCollected', 'DataSourceUpdated']);
    });
  });

  test('looks again only when it is time, also after the controller began anew', async () => {
    await makeCron();
    const before = await upToDate('True UpToDate');
    await fixture.stopController();
    await fixture.startController();
    worker = await fixture.worker('other');
    await fixture.dataVolume('later', { source: { blank: {} } });
    await fixture.phase('later', 'Succeeded');
    expect(await fixture.store.get(resources.dataImportCrons, key('fedora-cron'))).toEqual(before);
    expect(worker.calls).not.toContain('source.version');
  });

  test('is measured by CDI’s name until it ends', async () => {
    const series = (pending: boolean) =>
      `kubevirt_cdi_dataimportcron_outdated{namespace="default",cron_name="fedora-cron",pending="${pending}"}`;
    await makeCron();
    await upToDate('True UpToDate');
    await vi.waitFor(async () => expect(await metrics.text()).toContain(`${series(false)} 0`));
    worker.version = () => {
      throw new Fault('SourceNotFound', 'https://example.com/disk.qcow2');
    };
    await lookNow();
    await vi.waitFor(async () => expect(await metrics.text()).toContain(`${series(false)} 1`));
    expect(await metrics.text()).toContain(`${series(true)} 0`);
    await fixture.store.delete(resources.dataImportCrons, key('fedora-cron'));
    await vi.waitFor(async () => expect(await metrics.text()).not.toContain('fedora-cron'));
  });

  test('says why its source cannot be looked at, keeps what it has, and goes on when it can', async () => {
    await makeCron();
    await names(nameOf('"1"'));
    worker.version = () => {
      throw new Fault('SourceUnavailable', 'https://example.com answered 503');
    };
    await lookNow();
    const failed = await upToDate('Unknown SourceUnavailable');
    expect(Date.parse(failed?.metadata.annotations?.[annotations.nextCronTime] ?? '')).toBeGreaterThan(Date.now());
    await vi.waitFor(async () => {
      expect(await fixture.eventsOf('DataImportCron', 'fedora-cron')).toContainEqual(
        expect.objectContaining({ reason: 'SourceUnavailable', type: 'Warning', count: 1 }),
      );
    });
    worker.version = () => ({ etag: '"2"' });
    await lookNow();
    await names(nameOf('"2"'));
  });

  test('keeps the last good import where the newest is no image, and takes the next one', async () => {
    await makeCron({ importsToKeep: 1 });
    await names(nameOf('"1"'));
    worker.version = () => ({ etag: '"2"' });
    worker.script = async () => failure('NotADiskImage');
    await lookNow();
    await upToDate('False ImportFailed');
    expect(await fixture.store.get(resources.dataVolumes, key(nameOf('"1"')))).toBeDefined();
    worker.version = () => ({ etag: '"3"' });
    worker.script = async () => ({ ok: true, report });
    await lookNow();
    await names(nameOf('"3"'));
    await gone(nameOf('"2"'));
    await gone(nameOf('"1"'));
  });

  test('waits for a worker without calling that a fault', async () => {
    await worker.disconnect();
    await makeCron();
    await fixture.until(resources.dataSources, key('fedora'), (found) => found !== undefined);
    await worker.connect();
    await names(nameOf('"1"'));
    expect(await fixture.eventsOf('DataImportCron', 'fedora-cron')).not.toContainEqual(
      expect.objectContaining({ reason: 'NodeLost' }),
    );
  });

  test('puts right what others change of its DataSource', async () => {
    await makeCron();
    await names(nameOf('"1"'));
    const found = await fixture.store.get(resources.dataSources, key('fedora'));
    if (found === undefined) throw new Error('there is no DataSource');
    const spec = { source: { pvc: { namespace: 'default', name: 'other' } } };
    await fixture.store.update(resources.dataSources, { ...found, spec });
    await names(nameOf('"1"'));
    await fixture.store.delete(resources.dataSources, key('fedora'));
    await names(nameOf('"1"'));
  });

  test('clones a claim of its namespace whenever that is another one', async () => {
    await fixture.dataVolume('golden', { source: { blank: {} } });
    await fixture.phase('golden', 'Succeeded');
    await makeCron({ source: { pvc: { namespace: 'default', name: 'golden' } } });
    const cron = await upToDate('True UpToDate');
    const golden = await fixture.store.get(resources.claims, key('golden'));
    expect(cron?.status?.currentImports?.[0]?.Digest).toBe(`uid:${golden?.metadata.uid}`);
    expect(worker.calls).not.toContain('source.version');
  });
});

describe('the end of a schedule', () => {
  test('takes with it what it was to take', async () => {
    await makeCron({ retentionPolicy: 'None' });
    await names(nameOf('"1"'));
    await fixture.store.delete(resources.dataImportCrons, key('fedora-cron'));
    await gone(nameOf('"1"'));
    await fixture.until(resources.dataSources, key('fedora'), (found) => found === undefined);
  });

  test('also where it ended while nobody looked', async () => {
    await makeCron({ retentionPolicy: 'None' });
    await names(nameOf('"1"'));
    await fixture.stopController();
    await fixture.store.delete(resources.dataImportCrons, key('fedora-cron'));
    await fixture.startController();
    await gone(nameOf('"1"'));
  });

  test('leaves everything else', async () => {
    await makeCron();
    await names(nameOf('"1"'));
    await fixture.store.delete(resources.dataImportCrons, key('fedora-cron'));
    // A second one takes them over, which it does after the first one's end was seen.
    const second = { ...cronOf(), metadata: { namespace: 'default', name: 'second' } };
    await fixture.store.create(resources.dataImportCrons, second);
    await fixture.until(
      resources.dataVolumes,
      key(nameOf('"1"')),
      (found) => found?.metadata.labels?.[labels.dataImportCron] === 'second',
    );
  });
});
