// CDIConfig and StorageProfiles on one machine.
import { expect, test, vi } from 'vitest';
import { resources } from '../domain/resources.ts';
import { configurationContract } from '../test/contract/configuration.ts';
import { ControllerFixture } from '../test/controller-fixture.ts';

configurationContract('the embedded store', async () => {
  const fixture = await ControllerFixture.start();
  return { store: fixture.store, namespace: 'default', dispose: () => fixture.close() };
});

test('A service on one machine tells where its upload proxy listens, and that its own class needs no more room than the image', async () => {
  const environment = { LONGSHORE_UPLOADPROXY_PORT: '7999' };
  const fixture = await ControllerFixture.start({ environment });
  try {
    await vi.waitFor(async () => {
      const config = await fixture.store.get(resources.cdiConfigs, { name: 'config' });
      expect(config?.status).toMatchObject({
        uploadProxyURL: 'https://127.0.0.1:7999',
        filesystemOverhead: { storageClass: { longshore: '0' } },
      });
      const profile = await fixture.store.get(resources.storageProfiles, { name: 'longshore' });
      expect(profile?.status?.claimPropertySets).toEqual([
        { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
        { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
      ]);
    });
  } finally {
    await fixture.close();
  }
});
