import { expect, test } from 'vitest';
import { annotations, labels } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import { cronOf, cronSource } from '../../test/data-import-cron-examples.ts';
import { renderDataSource, renderImport } from './render-import.ts';

const now = new Date('2026-11-25T12:00:00.123Z');
const digest = `sha256:${'ab12'.repeat(16)}`;
const render = (cron: DataImportCron) =>
  renderImport(cron, { name: 'fedora-ab12ab12ab12', digest }, { now, storageClass: 'fast' });

test('an import is the template under its own name, bound at once, with the labels of its cron', () => {
  const made = render(cronOf());
  expect(made.metadata).toEqual({
    namespace: 'default',
    name: 'fedora-ab12ab12ab12',
    labels: {
      'app.kubernetes.io/managed-by': 'cdi-controller',
      'app.kubernetes.io/component': 'storage',
      [labels.dataImportCron]: 'fedora-cron',
    },
    annotations: {
      [annotations.bindImmediate]: 'true',
      [annotations.lastUseTime]: '2026-11-25T12:00:00.123Z',
      [annotations.importStorageClass]: 'fast',
    },
  });
  expect(made.spec).toEqual({ source: cronSource, storage: { resources: { requests: { storage: '1Mi' } } } });
});

test('an image of a registry is asked for by its digest', () => {
  const source = { registry: { url: 'docker://quay.io/disks/fedora:39', secretRef: 'pull' } };
  const pinned = { registry: { url: `docker://quay.io/disks/fedora@${digest}`, secretRef: 'pull' } };
  expect(render(cronOf({ source })).spec.source).toEqual(pinned);
});

test('what goes with its cron is labelled so, and what no longer does is not', () => {
  const none = cronOf({ retentionPolicy: 'None' });
  expect(render(none).metadata.labels).toMatchObject({ [labels.dataImportCronCleanup]: 'true' });
  const made = renderDataSource(none, undefined);
  expect(made.metadata.labels).toMatchObject({ [labels.dataImportCronCleanup]: 'true' });
  expect(renderDataSource(cronOf(), made).metadata.labels).not.toHaveProperty([labels.dataImportCronCleanup]);
});

test('a template passes on its own labels and annotations, but nothing that only the service says', () => {
  const cron = cronOf();
  const metadata = {
    labels: { team: 'one', [labels.dataImportCron]: 'another' },
    annotations: {
      note: 'kept',
      [annotations.requester]: 'root',
      [annotations.cloneSource]: 'pvc/secrets/disk',
      [annotations.podPhase]: 'Succeeded',
      [annotations.populatedFor]: 'fedora-ab12ab12ab12',
    },
  };
  const made = render({ ...cron, spec: { ...cron.spec, template: { ...cron.spec.template, metadata } } });
  expect(made.metadata.labels).toMatchObject({ team: 'one', [labels.dataImportCron]: 'fedora-cron' });
  expect(Object.keys(made.metadata.annotations ?? {}).toSorted()).toEqual(
    ['note', annotations.bindImmediate, annotations.lastUseTime, annotations.importStorageClass].toSorted(),
  );
});

test('who may clone is passed on from the cron, where the API wrote it', () => {
  const cron = cronOf({}, { [annotations.requester]: 'jane' });
  expect(render(cron).metadata.annotations).toMatchObject({ [annotations.requester]: 'jane' });
});

test('labels of KubeVirt go from the cron to its imports and its DataSource', () => {
  const cron = cronOf();
  const preference = { 'instancetype.kubevirt.io/default-preference': 'fedora', other: 'no' };
  const labelled = { ...cron, metadata: { ...cron.metadata, labels: preference } };
  for (const made of [render(labelled), renderDataSource(labelled, undefined)]) {
    expect(made.metadata.labels).toMatchObject({ 'instancetype.kubevirt.io/default-preference': 'fedora' });
    expect(made.metadata.labels).not.toHaveProperty('other');
  }
});

test('the DataSource names the last import, and nothing before there is one', () => {
  const pvc = { namespace: 'default', name: 'fedora-ab12ab12ab12' };
  const imported: DataImportCron = { ...cronOf(), status: { lastImportedPVC: pvc } };
  const empty = renderDataSource(cronOf(), undefined);
  expect(empty.spec).toEqual({ source: {} });
  expect(renderDataSource(imported, empty).spec).toEqual({ source: { pvc } });
  const changed = { ...empty, spec: { source: { pvc: { namespace: 'default', name: 'other' } } } };
  expect(renderDataSource(imported, changed).spec).toEqual({ source: { pvc } });
  expect(renderDataSource(cronOf(), changed)).toEqual(changed);
});

test('a DataSource that somebody made without the label stays as it is', () => {
  const own = { ...renderDataSource(cronOf(), undefined), metadata: { namespace: 'default', name: 'fedora' } };
  expect(renderDataSource(cronOf(), own)).toBe(own);
});
