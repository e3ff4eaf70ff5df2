// Claims with the label by which they are completed from the profile of their class, sent to a real kube-apiserver, which asks our API. What is expected is
// what CDI makes of them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { provisionerName } from '../../domain/annotations.ts';
import type { ClaimSpec } from '../../domain/kube-shapes.ts';
import { ClusterApiFixture } from './cluster-api-fixture.ts';

const gibibyte = 1_073_741_824;
const namespace = 'images';
const applied = { 'cdi.kubevirt.io/applyStorageProfile': 'true' };
const denied = 'admission webhook "pvc-mutate.cdi.kubevirt.io" denied the request: ';

let fixture: ClusterApiFixture;

const storageClass = (name: string, provisioner: string) => ({
  ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name }, provisioner },
});

beforeAll(async () => {
  fixture = await ClusterApiFixture.start();
  const { kubectl } = fixture;
  await kubectl.out(['create', 'namespace', namespace]);
  const objects = [
    storageClass('own', provisionerName),
    storageClass('ceph', 'rbd.csi.ceph.com'),
    storageClass('unknown', 'disks.example'),
    storageClass('profiled', 'disks.example'),
    {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile', metadata: { name: 'profiled' } },
      spec: { claimPropertySets: [{ accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem' }] },
    },
    {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDIConfig', metadata: { name: 'config' } },
      spec: { filesystemOverhead: { global: '0.1', storageClass: { profiled: '0.5' } } },
    },
  ];
  await kubectl.out(['create', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n'));
});
afterAll(() => fixture?.[Symbol.asyncDispose]());

let count = 0;

/** What becomes of a claim of 1 GiB: access modes, volume mode, class and size; or what kubectl says. */
async function outcome(spec: Partial<ClaimSpec>, labels: Record<string, string> = applied, annotations = {}) {
  count += 1;
  const claim = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
    metadata: { namespace, name: `claim-${count}`, labels, annotations },
    spec: { resources: { requests: { storage: '1Gi' } }, ...spec },
  };
  const args = ['create', '-f', '-', '-o', 'json'];
  const { code, out, err } = await fixture.kubectl.answer(args, JSON.stringify(claim));
  if (code !== 0) return err.trim();
  // Safe: kubectl prints the claim.
  const { accessModes, volumeMode, storageClassName, resources } = (JSON.parse(out) as { spec: ClaimSpec }).spec;
  return [accessModes, volumeMode, storageClassName, resources?.requests?.['storage']];
}

const once = ['ReadWriteOnce'];
const many = ['ReadWriteMany'];

describe('a claim with the label', () => {
  test('of our own class gets its modes, and the size that it asked for', async () => {
    expect(await outcome({ storageClassName: 'own' })).toEqual([once, 'Filesystem', 'own', '1Gi']);
  });

  test('gets the modes and the overhead of a known provisioner', async () => {
    const grown = String(Math.ceil(gibibyte * 1.1));
    expect(await outcome({ storageClassName: 'ceph' })).toEqual([once, 'Filesystem', 'ceph', grown]);
  });

  test('leaves the volume mode to the class where it says so, and a block device has no overhead', async () => {
    const spec = { storageClassName: 'ceph', volumeMode: 'FromStorageProfile' };
    expect(await outcome(spec)).toEqual([many, 'Block', 'ceph', '1Gi']);
    expect(await outcome({ ...spec, volumeMode: 'Block' })).toEqual([many, 'Block', 'ceph', '1Gi']);
  });

  test('gets what the profile says, and keeps what it says itself', async () => {
    const grown = '1536Mi';
    expect(await outcome({ storageClassName: 'profiled' })).toEqual([many, 'Filesystem', 'profiled', grown]);
    const itself = { storageClassName: 'profiled', accessModes: once, volumeMode: 'Block' };
    expect(await outcome(itself)).toEqual([once, 'Block', 'profiled', '1Gi']);
  });

  test('is not created where nobody knows its modes, in the words of CDI', async () => {
    const message = 'Spec is missing accessMode and cannot get access mode from StorageProfile unknown';
    expect(await outcome({ storageClassName: 'unknown' })).toContain(denied + message);
    const absent = 'PVC spec is missing accessMode and no storageClass to choose profile';
    expect(await outcome({})).toContain(denied + absent);
    expect(await outcome({ storageClassName: 'nowhere' })).toContain(
      `${denied}${absent}: there is no StorageClass nowhere`,
    );
  });

  test('is not created without a size, with one that is too small, or with an archive on a block device', async () => {
    const storageClassName = 'own';
    const words = 'PVC Spec is not valid - ';
    expect(await outcome({ storageClassName, resources: {} })).toContain(`${denied}${words}missing storage size`);
    const tiny = { requests: { storage: '1k' } };
    const least = 'storage size should be at least 1MiB';
    expect(await outcome({ storageClassName, resources: tiny })).toContain(`${denied}${words}${least}`);
    const archive = { 'cdi.kubevirt.io/storage.contentType': 'archive' };
    expect(await outcome({ storageClassName, volumeMode: 'Block' }, applied, archive)).toContain(
      `${denied}ContentType Archive cannot have block volumeMode`,
    );
  });

  test('waits for its class where it has said everything itself', async () => {
    const spec = { storageClassName: 'nowhere', accessModes: once };
    expect(await outcome(spec)).toEqual([once, 'Filesystem', 'nowhere', expect.any(String)]);
  });

  test('is left alone where CDIConfig says so, and then has to say everything', async () => {
    const rendering = async (value: string | null) => {
      const patch = JSON.stringify({ spec: { webhookPvcRendering: value } });
      await fixture.kubectl.out(['patch', 'cdiconfig', 'config', '--type=merge', '-p', patch]);
    };
    await rendering('Disabled');
    expect(await outcome({ storageClassName: 'profiled' })).toContain('spec.accessModes: Required value');
    await rendering(null);
    expect(await outcome({ storageClassName: 'profiled' })).toEqual([many, 'Filesystem', 'profiled', '1536Mi']);
  });
});

const others = [{}, { 'cdi.kubevirt.io/applyStorageProfile': 'false' }];

test.for(others)('a claim with the labels %j is none of our business', async (labels) => {
  expect(await outcome({ storageClassName: 'profiled' }, labels)).toContain('spec.accessModes: Required value');
  const spec = { storageClassName: 'profiled', accessModes: once };
  expect(await outcome(spec, labels)).toEqual([once, 'Filesystem', 'profiled', '1Gi']);
});

test('Without the API only claims with the label are refused, and kubectl tells who did not answer', async () => {
  await fixture.stopApi();
  expect(await outcome({ storageClassName: 'own' })).toContain(
    'failed calling webhook "pvc-mutate.cdi.kubevirt.io": failed to call webhook: Post "https://cdi-api.',
  );
  const spec = { storageClassName: 'own', accessModes: once };
  expect(await outcome(spec, {})).toEqual([once, 'Filesystem', 'own', '1Gi']);
});
