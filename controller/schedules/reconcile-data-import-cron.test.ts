import { describe, expect, test } from 'vitest';
import { annotations, labels } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { cronOf } from '../../test/data-import-cron-examples.ts';
import {
  type DataImportCronFacts,
  type DataImportCronPlan,
  reconcileDataImportCron,
} from './reconcile-data-import-cron.ts';
import { keptLabels, renderDataSource } from './render-import.ts';

const now = new Date('2026-11-25T12:00:30Z');
const digest = `sha256:${'a'.repeat(64)}`;
const newer = `sha256:${'b'.repeat(64)}`;
const [name, newerName] = ['fedora-aaaaaaaaaaaa', 'fedora-bbbbbbbbbbbb'];
const looked = { [annotations.nextCronTime]: '2026-11-25T13:00:00Z' };
const wanting = (wanted: string) => ({ ...looked, [annotations.sourceDesiredDigest]: wanted });
const importing = { currentImports: [{ DataVolumeName: name, Digest: digest }] };
const imported = { ...importing, lastImportedPVC: { namespace: 'default', name } };

function withStatus(cron: DataImportCron, status: DataImportCron['status'] = {}): DataImportCron {
  return { ...cron, status };
}

function dataVolume(called: string, phase: string, code?: FaultCode): DataVolume {
  const metadata = { namespace: 'default', name: called, labels: keptLabels(cronOf()) };
  const fault =
    code === undefined ? {} : { longshore: { fault: { code, detail: 'x', retryable: false, nextStep: 'y' } } };
  const status = { phase, ...fault };
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec: {}, status };
}

function claim(called: string, lastUse?: string): Claim {
  const told = lastUse === undefined ? {} : { [annotations.lastUseTime]: lastUse };
  const metadata = { namespace: 'default', name: called, labels: keptLabels(cronOf()), annotations: told };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: {}, status: { phase: 'Bound' } };
}

function plan(cron: DataImportCron, given: Partial<DataImportCronFacts> = {}): DataImportCronPlan {
  const imports = given.imports ?? [];
  return reconcileDataImportCron(cron, {
    dataSource: renderDataSource(cron, undefined),
    cronOf: () => undefined,
    imports,
    importOf: (asked) => imports.find((one) => one.name === asked) ?? { name: asked },
    isCloned: () => false,
    ...{ sourceClaim: undefined, look: undefined, refusal: undefined, storageClass: undefined, now },
    ...given,
  });
}

const kinds = ({ actions }: DataImportCronPlan) => actions.map(({ kind }) => kind);
const conditionsOf = ({ next }: DataImportCronPlan) =>
  next.status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`);

describe('a new DataImportCron', () => {
  test('looks at its source at once, and makes a DataSource that names nothing yet', () => {
    const made = plan(cronOf(), { dataSource: undefined });
    expect(kinds(made)).toEqual(['createDataSource', 'look']);
    expect(conditionsOf(made)).toEqual(['Progressing False NoImport', 'UpToDate False NoDigest']);
  });

  test('does not look a second time while a worker looks', () => {
    expect(kinds(plan(cronOf(), { look: 'running' }))).toEqual([]);
  });

  test('imports what was found, by its digest', () => {
    const found = plan(cronOf({}, looked), { look: { version: { digest } } });
    const [made] = found.actions;
    expect(made).toMatchObject({ kind: 'createImport', dataVolume: { metadata: { name } } });
    expect(found.next.status).toMatchObject({ ...importing, lastExecutionTimestamp: '2026-11-25T12:00:30Z' });
    expect(conditionsOf(found)).toEqual(['Progressing False Pending', 'UpToDate False ImportProgressing']);
  });

  test('tells why its source cannot be looked at, once', () => {
    const look = { fault: new Fault('SourceNotFound', 'https://example.com/disk.qcow2') };
    const failed = plan(cronOf({}, looked), { look });
    expect(conditionsOf(failed)).toEqual(['Progressing False NoImport', 'UpToDate False SourceNotFound']);
    expect(failed.actions).toEqual([
      expect.objectContaining({ kind: 'event', type: 'Warning', reason: 'SourceNotFound' }),
    ]);
    expect(kinds(plan(failed.next, { look }))).toEqual([]);
  });

  test('without a schedule looks never, and imports what it is told', () => {
    expect(kinds(plan(cronOf({ schedule: '' })))).toEqual([]);
    const told = plan(cronOf({ schedule: '' }, { [annotations.sourceDesiredDigest]: digest }));
    expect(kinds(told)).toEqual(['createImport']);
  });

  test('is left alone where nothing changes', () => {
    for (const cron of [cronOf({ schedule: '' }), cronOf({}, looked)]) {
      const { next } = plan(cron);
      expect(plan(next)).toEqual({ actions: [], next });
      expect(plan(next).next).toBe(next);
    }
  });
});

describe('an import', () => {
  test.for([
    ['ImportScheduled', 'Progressing False ImportScheduled'],
    ['ImportInProgress', 'Progressing True ImportProgressing'],
    ['WaitForFirstConsumer', 'Progressing False WaitForFirstConsumer'],
  ])('in phase %s is told in CDI’s words', ([phase = '', progress]) => {
    const cron = withStatus(cronOf({}, wanting(digest)), importing);
    const running = plan(cron, { imports: [{ name, dataVolume: dataVolume(name, phase) }] });
    expect(kinds(running)).toEqual([]);
    expect(conditionsOf(running)).toEqual([progress, 'UpToDate False ImportProgressing']);
  });

  test('that succeeds is what the DataSource names from then on', () => {
    const cron = withStatus(cronOf({}, wanting(digest)), importing);
    const done = plan(cron, { imports: [{ name, dataVolume: dataVolume(name, 'Succeeded'), claim: claim(name) }] });
    expect(kinds(done)).toEqual(['keepClaim', 'updateDataSource', 'event']);
    expect(done.actions[0]).toMatchObject({
      claim: { metadata: { annotations: { [annotations.lastUseTime]: now.toISOString() } } },
    });
    expect(done.actions[1]).toMatchObject({
      dataSource: { spec: { source: { pvc: { namespace: 'default', name } } } },
    });
    expect(done.next.status).toMatchObject({
      ...imported,
      lastImportTimestamp: '2026-11-25T12:00:30Z',
      sourceFormat: 'pvc',
    });
    expect(conditionsOf(done)).toEqual(['Progressing False NoImport', 'UpToDate True UpToDate']);
  });

  test('that runs is not disturbed by a newer version', () => {
    const cron = withStatus(cronOf({}, wanting(newer)), importing);
    const running = plan(cron, { imports: [{ name, dataVolume: dataVolume(name, 'ImportInProgress') }] });
    expect(kinds(running)).toEqual([]);
    expect(conditionsOf(running)).toEqual(['Progressing True ImportProgressing', 'UpToDate False Outdated']);
  });

  test('that somebody deleted is made again once it is gone', () => {
    const cron = withStatus(cronOf({}, wanting(digest)), imported);
    const leaving = {
      ...claim(name),
      metadata: { ...claim(name).metadata, deletionTimestamp: '2026-11-25T12:00:00Z' },
    };
    expect(kinds(plan(cron, { imports: [{ name, claim: leaving }] }))).toEqual([]);
    expect(kinds(plan(cron))).toEqual(['createImport']);
  });

  test('whose claim outlived its DataVolume counts', () => {
    const cron = withStatus(cronOf({}, wanting(digest)), importing);
    const done = plan(cron, { imports: [{ name, claim: claim(name, 'then') }] });
    expect(done.next.status).toMatchObject(imported);
  });
});

describe('a failed import', () => {
  const before = { ...importing, lastImportedPVC: { namespace: 'default', name: 'fedora-000000000000' } };
  const good = { name: 'fedora-000000000000', dataVolume: dataVolume('fedora-000000000000', 'Succeeded') };
  const failed = (code: FaultCode) => [good, { name, dataVolume: dataVolume(name, 'Failed', code) }];

  test('stays as long as there is nothing newer, and the DataSource names the last good one', () => {
    const cron = withStatus(cronOf({}, wanting(digest)), before);
    const stuck = plan(cron, { imports: failed('CorruptImage') });
    expect(kinds(stuck)).toEqual([]);
    expect(conditionsOf(stuck)).toEqual(['Progressing False Failed', 'UpToDate False ImportFailed']);
    expect(stuck.next.status?.lastImportedPVC).toEqual(before.lastImportedPVC);
  });

  test('makes room for a newer version', () => {
    const cron = withStatus(cronOf({}, wanting(newer)), before);
    const removed = plan(cron, { imports: failed('CorruptImage') });
    expect(removed.actions).toEqual([
      expect.objectContaining({
        kind: 'deleteImport',
        dataVolume: expect.objectContaining({ metadata: expect.objectContaining({ name }) }),
      }),
    ]);
    const begun = plan(removed.next, { imports: [good] });
    expect(begun.actions).toMatchObject([{ kind: 'createImport', dataVolume: { metadata: { name: newerName } } }]);
  });

  test('is tried again with the next look where its source was to blame', () => {
    const cron = withStatus(cronOf({}, wanting(digest)), before);
    const look = { version: { digest } };
    expect(kinds(plan(cron, { imports: failed('BudgetExhausted'), look }))).toEqual(['deleteImport']);
    expect(kinds(plan(cron, { imports: failed('BudgetExhausted') }))).toEqual([]);
    expect(kinds(plan(cron, { imports: failed('CorruptImage'), look }))).toEqual([]);
  });
});

describe('a newer version', () => {
  const cron = withStatus(cronOf({ importsToKeep: 1 }, wanting(newer)), imported);
  const old = { name, dataVolume: dataVolume(name, 'Succeeded'), claim: claim(name, '2026-11-24T00:00:00Z') };
  const whole = { name: newerName, dataVolume: dataVolume(newerName, 'Succeeded'), claim: claim(newerName) };
  const newest = withStatus(cron, { ...imported, currentImports: [{ DataVolumeName: newerName, Digest: newer }] });

  test('is imported beside the last one, which stays meanwhile', () => {
    const begun = plan(cron, { imports: [old] });
    expect(begun.actions).toMatchObject([{ kind: 'createImport', dataVolume: { metadata: { name: newerName } } }]);
    expect(begun.next.status?.lastImportedPVC?.name).toBe(name);
  });

  test('lets older ones go when it is whole', () => {
    const done = plan(newest, { imports: [old, whole] });
    expect(kinds(done)).toEqual(['keepClaim', 'updateDataSource', 'deleteImport', 'event', 'event']);
    expect(done.actions[2]).toMatchObject({ dataVolume: { metadata: { name } } });
  });

  test('lets nothing go that somebody is cloning', () => {
    expect(kinds(plan(newest, { imports: [old, whole], isCloned: () => true }))).not.toContain('deleteImport');
  });

  test('that was there before is taken up again, not imported again', () => {
    const back = withStatus(cronOf({}, wanting(digest)), {
      currentImports: [{ DataVolumeName: newerName, Digest: newer }],
      lastImportedPVC: { namespace: 'default', name: newerName },
    });
    const taken = plan(back, { imports: [old, whole] });
    expect(kinds(taken)).not.toContain('createImport');
    expect(taken.next.status).toMatchObject(imported);
  });
});

describe('what cannot be begun is told', () => {
  test.for([
    ['an unreadable digest', cronOf({}, wanting('latest')), {}, 'NoDigest'],
    [
      'a clone that nobody is known to be entitled to',
      cronOf({ source: { pvc: { namespace: 'secrets', name: 'a' } } }, wanting(digest)),
      {},
      'NotAuthorized',
    ],
    ['what the store refuses', cronOf({}, wanting(digest)), { refusal: new Fault('Quota', 'too many') }, 'Quota'],
    [
      'a name that somebody else has taken',
      cronOf({}, wanting(digest)),
      { imports: [{ name, claim: { ...claim(name), metadata: { name } } }] },
      'ErrResourceExists',
    ],
  ] as const)('%s', ([, cron, facts, reason]) => {
    const stuck = plan(cron, facts);
    expect(kinds(stuck)).toEqual(['event']);
    expect(conditionsOf(stuck)?.[0]).toBe(`Progressing False ${reason}`);
    expect(kinds(plan(stuck.next, facts))).toEqual([]);
  });
});

describe('the DataSource', () => {
  test('of another cron is left to it, and that is told once', () => {
    const other = { ...cronOf(), metadata: { ...cronOf().metadata, name: 'first' } };
    const dataSource = renderDataSource(other, undefined);
    const facts = { dataSource, cronOf: (asked: string) => (asked === 'first' ? other : undefined) };
    const refused = plan(cronOf(), facts);
    expect(refused.actions).toEqual([
      expect.objectContaining({
        reason: 'ErrDataSourceAlreadyManaged',
        message: 'DataSource fedora is already managed by DataImportCron first',
      }),
    ]);
    expect(plan(refused.next, facts)).toEqual({ actions: [], next: refused.next });
  });

  test('of a cron that is no more is taken over', () => {
    const gone = { ...cronOf(), metadata: { ...cronOf().metadata, name: 'gone' } };
    const taken = plan(cronOf({}, looked), { dataSource: renderDataSource(gone, undefined) });
    expect(taken.actions).toMatchObject([
      { kind: 'updateDataSource', dataSource: { metadata: { labels: { [labels.dataImportCron]: 'fedora-cron' } } } },
    ]);
  });
});

test('a claim as the source is looked at without a worker', () => {
  const cron = cronOf({ source: { pvc: { namespace: 'default', name: 'golden' } } });
  const uid = '68ff6df7-4a1b-4d3b-8ae3-6d1f9a6c1e11';
  const sourceClaim = { ...claim('golden'), metadata: { ...claim('golden').metadata, uid } };
  const found = plan(cron, { sourceClaim });
  expect(found.actions).toMatchObject([
    { kind: 'createImport', dataVolume: { metadata: { name: 'fedora-68ff6df7-4a1' } } },
  ]);
  expect(conditionsOf(plan(cron))?.[1]).toBe('UpToDate False SourceNotReady');
});
