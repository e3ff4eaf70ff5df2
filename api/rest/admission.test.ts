import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Claim } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { type Answer, ApiUnderTest, claim, claimsPath } from '../../test/kubectl/running-api.ts';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start();
});
afterAll(() => under.close());

const core = '/api/v1/namespaces/default';

function patch(path: string, body: unknown): Promise<Answer> {
  return under.ask({ method: 'PATCH', path, headers: { 'content-type': 'application/merge-patch+json' }, body });
}

describe('immutable values', () => {
  test.each([
    ['Secret', 'secrets', { a: 'eA==' }, { a: 'eQ==' }],
    ['ConfigMap', 'configmaps', { a: 'x' }, { a: 'y' }],
  ])(
    'of a %s can neither be changed nor made mutable, but it can be labelled and deleted',
    async (kind, plural, data, other) => {
      const path = `${core}/${plural}`;
      const body = { apiVersion: 'v1', kind, metadata: { name: 'fixed' }, data, immutable: true };
      expect((await under.ask({ method: 'POST', path, body })).status).toBe(201);
      for (const [change, field] of [
        [{ data: other }, 'data'],
        [{ data: { b: 'eA==' } }, 'data'],
        [{ immutable: false }, 'immutable'],
        [{ immutable: null }, 'immutable'],
      ] as const) {
        const refused = await patch(`${path}/fixed`, change);
        const message = `${kind} "fixed" is invalid: ${field}: Forbidden: field is immutable when \`immutable\` is set`;
        expect([refused.status, refused.body]).toEqual([422, expect.objectContaining({ message })]);
      }
      expect((await patch(`${path}/fixed`, { metadata: { labels: { l: 'm' } } })).status).toBe(200);
      expect((await under.ask({ path: `${path}/fixed` })).body).toMatchObject({ data, immutable: true });
      expect((await under.ask({ method: 'DELETE', path: `${path}/fixed` })).status).toBe(200);
    },
  );
});

describe('growth of a claim', () => {
  const grown = { spec: { resources: { requests: { storage: '2Gi' } } } };
  const refusal = (name: string, why: string) => [
    403,
    expect.objectContaining({
      reason: 'Forbidden',
      message: `persistentvolumeclaims "${name}" is forbidden: ${why}`,
    }),
  ];

  async function bound(name: string, storageClassName: string): Promise<void> {
    const made = { ...claim(name) } as Claim; // Safe: the helper makes claims.
    const body = { ...made, spec: { ...made.spec, storageClassName } };
    expect((await under.ask({ method: 'POST', path: claimsPath, body })).status).toBe(201);
    const stored = await under.store.get(resources.claims, { namespace: 'default', name });
    if (stored !== undefined)
      await under.store.updateStatus(resources.claims, {
        ...stored,
        status: { phase: 'Bound', capacity: { storage: '1Gi' } },
      });
  }

  test('is refused while it is not bound, and where its class does not grow volumes', async () => {
    await under.ask({ method: 'POST', path: claimsPath, body: claim('pending') });
    const pending = await patch(`${claimsPath}/pending`, grown);
    expect([pending.status, pending.body]).toEqual(
      refusal('pending', 'Only bound persistent volume claims can be expanded'),
    );
    await addClass('stays', false);
    await bound('small', 'stays');
    const small = await patch(`${claimsPath}/small`, grown);
    const why =
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize';
    expect([small.status, small.body]).toEqual(refusal('small', why));
    expect((await under.ask({ path: `${claimsPath}/small` })).body).toMatchObject({
      spec: { resources: { requests: { storage: '1Gi' } } },
    });
    expect((await patch(`${claimsPath}/small`, { metadata: { labels: { a: 'b' } } })).status).toBe(200);
  });

  test('is taken by our class, and by one of somebody else that allows it', async () => {
    await addClass('grows', true);
    for (const [name, className] of [
      ['ours', 'longshore'],
      ['theirs', 'grows'],
    ] as const) {
      await bound(name, className);
      expect((await patch(`${claimsPath}/${name}`, grown)).status).toBe(200);
    }
  });

  test('is taken back only down to what the volume has more than', async () => {
    await bound('wishful', 'longshore');
    expect((await patch(`${claimsPath}/wishful`, grown)).status).toBe(200);
    const sized = (storage: string) => ({ spec: { resources: { requests: { storage } } } });
    expect((await patch(`${claimsPath}/wishful`, sized('1536Mi'))).status).toBe(200);
    const less = await patch(`${claimsPath}/wishful`, sized('1Gi'));
    expect([less.status, less.body]).toEqual([
      422,
      expect.objectContaining({ message: expect.stringContaining('field can not be less than status.capacity') }),
    ]);
  });

  async function addClass(name: string, allowVolumeExpansion: boolean): Promise<void> {
    const storageClass = {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name },
      provisioner: 'example.com/disks',
      allowVolumeExpansion,
    };
    const path = '/apis/storage.k8s.io/v1/storageclasses';
    expect((await under.ask({ method: 'POST', path, body: storageClass })).status).toBe(201);
  }
});

describe('values that are too many', () => {
  test('more than 1 MiB in a secret or config map is refused as Kubernetes does, 1 MiB is kept', async () => {
    const map = (name: string, length: number) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: { a: 'x'.repeat(length) },
    });
    const most = 1_048_576;
    const path = `${core}/configmaps`;
    expect((await under.ask({ method: 'POST', path, body: map('full', most) })).status).toBe(201);
    const refused = await under.ask({ method: 'POST', path, body: map('fuller', most + 1) });
    const message = 'ConfigMap "fuller" is invalid: data: Too long: may not be more than 1048576 bytes';
    expect([refused.status, refused.body]).toEqual([422, expect.objectContaining({ message })]);
    const secret = {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'fuller' } },
      stringData: { a: 'x'.repeat(most + 1) },
    };
    const told = await under.ask({ method: 'POST', path: `${core}/secrets`, body: secret });
    expect(told.status).toBe(422);
    expect((await under.ask({ path: `${path}/fuller` })).status).toBe(404);
  });
});

describe('a claim with the label of virtctl', () => {
  async function outcome(name: string, spec: Partial<Claim['spec']>, labels: Record<string, string>) {
    const body = {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name, labels } },
      spec: { storageClassName: 'shared', resources: { requests: { storage: '1Gi' } }, ...spec },
    };
    const answer = await under.ask({ method: 'POST', path: claimsPath, body });
    // Safe: a claim where it was taken, else a Status.
    const { spec: got, message } = answer.body as Partial<Claim> & { message?: string };
    return got === undefined
      ? [answer.status, message]
      : [answer.status, got.accessModes, got.volumeMode, got.resources?.requests?.['storage']];
  }

  const applied = { 'cdi.kubevirt.io/applyStorageProfile': 'true' };

  test('gets modes and overhead of its class, as on a cluster', async () => {
    await under.store.create(resources.storageClasses, {
      ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'shared' } },
      provisioner: 'rbd.csi.ceph.com',
    });
    const free = { volumeMode: 'FromStorageProfile' };
    expect(await outcome('free', free, applied)).toEqual([201, ['ReadWriteMany'], 'Block', '1Gi']);
    const grown = String(Math.ceil(1_073_741_824 * 1.06));
    expect(await outcome('any', {}, applied)).toEqual([201, ['ReadWriteOnce'], 'Filesystem', grown]);
    await under.store.create(resources.storageProfiles, {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile', metadata: { name: 'shared' } },
      spec: { claimPropertySets: [{ accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem' }] },
    });
    expect(await outcome('profiled', {}, applied)).toEqual([201, ['ReadWriteMany'], 'Filesystem', grown]);
  });

  test('is refused where that cannot be told, and left alone without the label', async () => {
    const absent = 'PVC spec is missing accessMode and no storageClass to choose profile';
    expect(await outcome('nowhere', { storageClassName: 'nowhere' }, applied)).toEqual([
      ...[422, `${absent}: there is no StorageClass nowhere`],
    ]);
    const message = expect.stringContaining('spec.accessModes: Required value: at least 1 access mode is required');
    expect(await outcome('unlabelled', {}, {})).toEqual([422, message]);
    const wrong = { resources: { requests: { storage: '1GB' } } };
    expect(await outcome('wrong', { ...wrong, accessModes: ['ReadWriteOnce'] }, applied)).toEqual([
      ...[422, expect.stringContaining('must be a quantity')],
    ]);
  });
});
