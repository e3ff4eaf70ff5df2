// What a controller keeps for the clients of its cluster, as a suite that runs over each object store: CDIConfig and StorageProfiles.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { CdiConfig } from '../../domain/custom-resources/cdi-config.ts';
import type { StorageProfile } from '../../domain/custom-resources/storage-profile.ts';
import type { StorageClass } from '../../domain/kube-shapes.ts';
import type { ObjectStore } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';

export interface KeptConfiguration {
  /** A controller runs over it. */
  store: ObjectStore;
  /** A namespace that exists. */
  namespace: string;
  dispose(): Promise<void>;
}

const waiting = { timeout: 30_000, interval: 20 };

/** Runs the suite over one subject. */
export function configurationContract(implementation: string, open: () => Promise<KeptConfiguration>): void {
  describe(`over ${implementation}, the controller`, () => {
    let subject: KeptConfiguration;

    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject?.dispose());

    const config = async (): Promise<CdiConfig> => {
      const found = await subject.store.get(resources.cdiConfigs, { name: 'config' });
      if (found === undefined) throw new Error('there is no CDIConfig');
      return found;
    };
    const configure = async (spec: CdiConfig['spec']) => {
      await vi.waitFor(async () => {
        await subject.store.update(resources.cdiConfigs, { ...(await config()), spec });
      }, waiting);
    };
    const profileOf = (name: string) => subject.store.get(resources.storageProfiles, { name });
    const profileWithStatus = (name: string, expected: object): Promise<StorageProfile> =>
      vi.waitFor(async () => {
        const profile = await profileOf(name);
        expect(profile?.status).toMatchObject(expected);
        if (profile === undefined) throw new Error('there is no profile');
        return profile;
      }, waiting);
    const statusOfConfig = (expected: object) =>
      vi.waitFor(async () => expect((await config()).status).toMatchObject(expected), waiting);
    const addClass = (name: string, provisioner: string, more: Partial<StorageClass> = {}): Promise<StorageClass> =>
      subject.store.create(resources.storageClasses, {
        ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name }, provisioner },
        ...more,
      });

    test('makes CDIConfig, and makes it again when it is deleted', async () => {
      await statusOfConfig({ preallocation: false, filesystemOverhead: { global: '0.06' } });
      const { uid } = (await config()).metadata;
      await subject.store.delete(resources.cdiConfigs, { name: 'config' });
      await statusOfConfig({ preallocation: false, filesystemOverhead: { global: '0.06' } });
      expect((await config()).metadata.uid).not.toBe(uid);
    });

    test('takes over what an administrator writes into the spec of CDIConfig, and gives it up again', async () => {
      await addClass('scratch', 'nfs.csi.k8s.io');
      const { uploadProxyURL } = (await config()).status ?? {};
      await configure({
        ...{ uploadProxyURLOverride: 'https://upload.example.org', scratchSpaceStorageClass: 'scratch' },
        ...{ filesystemOverhead: { global: '0.1', storageClass: { scratch: '0.25' } }, preallocation: true },
      });
      await statusOfConfig({
        ...{ uploadProxyURL: 'https://upload.example.org', scratchSpaceStorageClass: 'scratch', preallocation: true },
        filesystemOverhead: { global: '0.1', storageClass: { scratch: '0.25' } },
      });
      await configure({});
      await statusOfConfig({
        ...{ scratchSpaceStorageClass: '', preallocation: false },
        filesystemOverhead: { global: '0.06', storageClass: { scratch: '0.06' } },
      });
      expect((await config()).status?.uploadProxyURL).toBe(uploadProxyURL);
    });

    test('makes a profile for each class, and deletes it with the class', async () => {
      await addClass('block', 'rbd.csi.ceph.com');
      await addClass('unheard-of', 'filler.example');
      await profileWithStatus('block', {
        ...{ storageClass: 'block', provisioner: 'rbd.csi.ceph.com', cloneStrategy: 'csi-clone' },
        conditions: [{ type: 'Recognized', status: 'True', reason: 'RecognizedProvisioner' }],
      });
      const unknown = await profileWithStatus('unheard-of', {
        conditions: [{ type: 'Recognized', status: 'False', reason: 'UnrecognizedProvisioner' }],
      });
      expect(unknown.status).not.toHaveProperty('claimPropertySets');
      await statusOfConfig({ filesystemOverhead: { storageClass: { block: '0.06', 'unheard-of': '0.06' } } });
      await subject.store.delete(resources.storageClasses, { name: 'block' });
      await vi.waitFor(async () => expect(await profileOf('block')).toBeUndefined(), waiting);
      await vi.waitFor(async () => {
        const classes = (await config()).status?.filesystemOverhead?.storageClass;
        expect(Object.keys(classes ?? {})).not.toContain('block');
      }, waiting);
      expect(await profileOf('unheard-of')).toBeDefined();
    });

    test('makes a profile again that was deleted, and mends a status that somebody changed', async () => {
      await addClass('mended', 'nfs.csi.k8s.io');
      const shared = { claimPropertySets: [{ accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem' }] };
      const profile = await profileWithStatus('mended', shared);
      const { resourceVersion: _, ...metadata } = profile.metadata;
      const status = { ...profile.status, claimPropertySets: [] };
      await subject.store.updateStatus(resources.storageProfiles, { ...profile, metadata, status });
      await profileWithStatus('mended', shared);
      await subject.store.delete(resources.storageProfiles, { name: 'mended' });
      const again = await profileWithStatus('mended', shared);
      expect(again.metadata.uid).not.toBe(profile.metadata.uid);
    });

    test('tells in a profile the smallest claim that its provisioner makes, and leaves an administrator their own', async () => {
      const notes = { [annotations.minimumSupportedPvcSize]: '8Gi' };
      await addClass('disks', 'ebs.csi.aws.com', { parameters: { type: 'gp3' } });
      const profile = await profileWithStatus('disks', { storageClass: 'disks' });
      expect(profile.metadata.annotations).toMatchObject({ [annotations.minimumSupportedPvcSize]: '1Gi' });
      await subject.store.update(resources.storageProfiles, {
        ...profile,
        ...{ metadata: { ...profile.metadata, annotations: notes }, spec: { cloneStrategy: 'copy' } },
      });
      const after = await profileWithStatus('disks', { cloneStrategy: 'copy' });
      expect(after.metadata.annotations).toEqual(notes);
    });

    test('gives a claim the modes of the profile that its DataVolume leaves open', async () => {
      await addClass('profiled', 'filler.example');
      const profile = await profileWithStatus('profiled', { storageClass: 'profiled' });
      const { namespace } = subject;
      const asked = { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } };
      await subject.store.create(resources.dataVolumes, {
        ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { namespace, name: 'disk' } },
        spec: { ...asked, storage: { ...asked.storage, storageClassName: 'profiled' } },
      });
      const problem = 'Spec is missing accessMode and volumeMode, cannot get access mode from StorageProfile profiled';
      await vi.waitFor(async () => {
        const { items } = await subject.store.list(resources.events, { namespace });
        expect(items.map(({ message }) => message)).toContain(problem);
      }, waiting);
      expect(await subject.store.get(resources.claims, { namespace, name: 'disk' })).toBeUndefined();
      const spec: StorageProfile['spec'] = {
        claimPropertySets: [{ accessModes: ['ReadWriteMany'], volumeMode: 'Block' }],
      };
      await subject.store.update(resources.storageProfiles, { ...profile, spec });
      await vi.waitFor(async () => {
        const claim = await subject.store.get(resources.claims, { namespace, name: 'disk' });
        expect(claim?.spec).toMatchObject({ accessModes: ['ReadWriteMany'], volumeMode: 'Block' });
      }, waiting);
    });
  });
}
