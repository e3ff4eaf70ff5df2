import { describe, expect, test } from 'vitest';
import { annotations, provisionerName } from './annotations.ts';
import { asksForCompletion, type CompletionContext, cloneSourceNameOf, completeClaim } from './complete-claim.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { Claim, ClaimSpec, StorageClass } from './kube-shapes.ts';

const storageClass = (name: string, provisioner: string, mark?: string): StorageClass => ({
  ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner },
  metadata: { name, ...(mark === undefined ? {} : { annotations: { [mark]: 'true' } }) },
});

const cdiConfig = (spec: CdiConfig['spec']): CdiConfig => ({
  ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDIConfig', metadata: { name: 'config' }, spec },
});

const storageClasses = [
  storageClass('own', provisionerName),
  storageClass('ceph', 'rbd.csi.ceph.com', annotations.defaultStorageClass),
  storageClass('unknown', 'disks.example'),
];
const requests = (storage: string) => ({ resources: { requests: { storage } } });

function complete(spec: ClaimSpec, around: Partial<CompletionContext> = {}, notes = {}): unknown {
  const completed = completeClaim({ metadata: { annotations: notes }, spec }, { storageClasses, ...around });
  return 'problem' in completed ? completed.problem.message : completed.spec;
}

test('only the label asks, and only as `true`', () => {
  const asks = (value: string) => asksForCompletion({ labels: { 'cdi.kubevirt.io/applyStorageProfile': value } });
  expect([asks('true'), asks('false'), asks(''), asksForCompletion({})]).toEqual([true, false, false, false]);
});

describe('a claim that asks to be completed', () => {
  test('gets the default class, its modes and its overhead, and keeps everything else', () => {
    const rest = { selector: { matchLabels: { a: 'b' } }, volumeName: 'pv-1' };
    expect(complete({ ...requests('1Gi'), ...rest })).toEqual({
      ...{ ...rest, ...requests('1138166334'), storageClassName: 'ceph' },
      ...{ accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
    });
  });

  test('of our own class has no overhead', () => {
    expect(complete({ ...requests('1Gi'), storageClassName: 'own' })).toMatchObject(requests('1Gi'));
  });

  test.each(['FromStorageProfile', ''])('with the volume mode “%s” takes what the class prefers', (volumeMode) => {
    const preferred = { accessModes: ['ReadWriteMany'], volumeMode: 'Block', ...requests('1Gi') };
    expect(complete({ ...requests('1Gi'), volumeMode })).toMatchObject(preferred);
  });

  test('of an archive is never a block device', () => {
    const archive = { [annotations.contentType]: 'archive' };
    const spec = { ...requests('1Gi'), volumeMode: 'FromStorageProfile' };
    expect(complete(spec, {}, archive)).toMatchObject({ volumeMode: 'Filesystem' });
    const refusal = 'ContentType Archive cannot have block volumeMode';
    expect(complete({ ...spec, volumeMode: 'Block' }, {}, archive)).toBe(refusal);
  });

  test('is refused in the words of CDI where something cannot be told', () => {
    const unknown = { storageClassName: 'unknown' };
    const profile = 'cannot get access mode from StorageProfile unknown';
    expect(complete({ ...requests('1Gi'), ...unknown })).toBe(`Spec is missing accessMode and ${profile}`);
    expect(complete({ ...requests('1Gi'), ...unknown, volumeMode: 'FromStorageProfile' })).toBe(
      `Spec is missing accessMode and volumeMode, ${profile}`,
    );
    const classless = 'PVC spec is missing accessMode and no storageClass to choose profile';
    expect(complete({ ...requests('1Gi'), storageClassName: '' })).toBe(classless);
    expect(complete({ ...requests('1Gi'), storageClassName: 'gone' })).toBe(
      `${classless}: there is no StorageClass gone`,
    );
    expect(complete({})).toBe('PVC Spec is not valid - missing storage size');
    expect(complete(requests('1k'))).toBe('PVC Spec is not valid - storage size should be at least 1MiB');
  });

  describe('and is to be filled by a VolumeCloneSource', () => {
    const dataSourceRef = { apiGroup: 'cdi.kubevirt.io', kind: 'VolumeCloneSource', name: 'golden' };
    const cloneSource: Claim = {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'golden' } },
      spec: { ...requests('1Gi'), storageClassName: 'ceph', volumeMode: 'Block' },
      status: { capacity: { storage: '3Gi' } },
    };

    test('has the size of its source, without an overhead of its own', () => {
      const spec = { dataSourceRef, volumeMode: 'Block' };
      expect(complete(spec, { cloneSource })).toMatchObject(requests('1Gi'));
      expect(complete({ ...spec, ...requests('0') }, { cloneSource })).toMatchObject(requests('1Gi'));
    });

    test('has the size of its source’s volume where that is of another class or mode', () => {
      expect(complete({ dataSourceRef }, { cloneSource })).toMatchObject(requests('3Gi'));
      const own = { dataSourceRef, storageClassName: 'own', volumeMode: 'Block' };
      expect(complete(own, { cloneSource })).toMatchObject(requests('3Gi'));
      const { status: _, ...unbound } = cloneSource;
      expect(complete(own, { cloneSource: unbound })).toMatchObject(requests('1Gi'));
    });

    test('keeps a size that it says, and gets none where there is no such source', () => {
      expect(complete({ dataSourceRef, ...requests('1k') }, { cloneSource })).toMatchObject(requests('1k'));
      expect(complete({ dataSourceRef })).toMatchObject({ accessModes: ['ReadWriteOnce'] });
      expect(complete({ dataSourceRef })).not.toHaveProperty('resources');
    });

    test('names it by group, kind and name, in its own namespace', () => {
      expect(cloneSourceNameOf({ dataSourceRef })).toBe('golden');
      for (const other of [{ apiGroup: 'x.io' }, { kind: 'VolumeImportSource' }, { name: '' }, { namespace: 'b' }]) {
        expect(cloneSourceNameOf({ dataSourceRef: { ...dataSourceRef, ...other } })).toBeUndefined();
      }
    });
  });

  test('is left alone where CDIConfig says so, or where its size is none', () => {
    const spec = requests('1Gi');
    expect(complete(spec, { cdiConfig: cdiConfig({ webhookPvcRendering: 'Disabled' }) })).toBe(spec);
    expect(complete(spec, { cdiConfig: cdiConfig({ webhookPvcRendering: 'Enabled' }) })).not.toBe(spec);
    const wrong = requests('1GB');
    expect(complete(wrong)).toBe(wrong);
  });
});
