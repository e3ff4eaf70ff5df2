// What users of a cluster see of what cannot be: in conditions, events and answers of admission, each with what to do; and what goes on by itself once it can.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { validateDataVolume } from '../../domain/admission.ts';
import { admissionMessage } from '../../domain/cause.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { readDataVolume } from '../../domain/data-volume-shape.ts';
import { chartDirectory, releaseNamespace } from './chart.ts';
import { conditionOf, leaveNothing, leftovers, untilCondition } from './data-volume-views.ts';
import { immediate } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { answerOf } from './run-program.ts';
import { type TestCluster, testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const namespace = 'bad-input';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await testCluster();
});

describe('where CDI is installed', () => {
  const name = 'cdis.cdi.kubevirt.io';
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const definition = {
    ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
    metadata: { name, labels: { 'operator.cdi.kubevirt.io': '' } },
    spec: {
      ...{ group: 'cdi.kubevirt.io', scope: 'Cluster' },
      names: { kind: 'CDI', listKind: 'CDIList', plural: 'cdis', singular: 'cdi' },
      versions: [{ name: 'v1beta1', served: true, storage: true, schema }],
    },
  };
  const cdi = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDI', metadata: { name: 'cdi' }, spec: {} };

  afterAll(() => cluster.kubectl.out(['delete', 'crd', name]));

  test('the chart refuses with a sentence and touches nothing', async () => {
    const { kubectl, programs, kubeconfig } = cluster;
    // What a release before this one has left.
    await kubectl.out(['delete', 'crd', name, '--ignore-not-found']);
    await kubectl.out(['create', '-f', '-'], JSON.stringify(definition));
    await kubectl.out(['wait', `crd/${name}`, '--for=condition=Established']);
    await until('its kind is served', 60_000, async () => {
      return (await kubectl.answer(['create', '-f', '-'], JSON.stringify(cdi))).code === 0;
    });
    const kinds = 'deployments,daemonsets,statefulsets,services,secrets,serviceaccounts';
    const ofService = async () => {
      const found = await kubectl.out(['get', kinds, '-n', releaseNamespace, '--ignore-not-found', '-o', 'name']);
      return found.split('\n').filter((line) => line.includes('longshore'));
    };
    const left = await ofService(); // the certificates of a release before this one
    const whole = async () => [await kubectl.get('crd', name), await kubectl.get('cdis', 'cdi')];
    const before = await whole();
    const given = ['--namespace', releaseNamespace, '--kubeconfig', kubeconfig];
    const helm = (...args: string[]) => answerOf(programs.helm, [...args, ...given]);
    const { code, err } = await helm('install', 'longshore', chartDirectory, '--create-namespace');
    expect(code).not.toBe(0);
    expect(err).toContain(`CDI is installed on this cluster: its CustomResourceDefinition ${name} is there.`);
    expect(err).toContain('Nothing was changed. Remove CDI first.');
    expect((await helm('list', '--all', '--short')).out).toBe('');
    expect(await whole()).toEqual(before);
    expect(await ofService()).toEqual(left);
  });
});

describe('a DataVolume', () => {
  let service: InstalledService;
  beforeAll(async () => {
    service = await InstalledService.install(cluster);
    await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });
  afterAll(() => leaveNothing(service, namespace));

  function blank(name: string, claim: { by?: 'storage' | 'pvc'; size?: string; storageClassName?: string }): object {
    const { by = 'storage', size = '16Mi', storageClassName = 'longshore' } = claim;
    const modes = by === 'pvc' ? { accessModes: ['ReadWriteOnce'] } : {};
    const wish = { ...modes, storageClassName, resources: { requests: { storage: size } } };
    return {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' },
      ...{ metadata: { namespace, name, annotations: immediate }, spec: { source: { blank: {} }, [by]: wish } },
    };
  }

  const claims = async () => cluster.kubectl.out(['get', 'pvc', '-n', namespace, '-o', 'name']);
  const described = (name: string) => cluster.kubectl.out(['describe', 'datavolume', '-n', namespace, name]);
  const remove = (name: string) => cluster.kubectl.out(['delete', 'datavolume', '-n', namespace, name]);

  test('whose class is not there says so, and goes on when it is', async () => {
    await service.create(blank('no-class', { storageClassName: 'later' }));
    const bound = await untilCondition(service, { namespace, name: 'no-class' }, 'Bound', 'ErrClaimNotValid');
    expect(bound.message).toContain('there is no StorageClass later');
    expect(await described('no-class')).toMatch(/Warning\s+ErrClaimNotValid .*there is no StorageClass later/);
    expect(await claims()).toBe('');
    await service.create({
      ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'later' } },
      ...{ provisioner: 'csi.longshore.dev', volumeBindingMode: 'WaitForFirstConsumer' },
    });
    await service.untilPhase(namespace, 'no-class', 'Succeeded');
    await cluster.kubectl.out(['delete', 'storageclass', 'later']);
    await remove('no-class');
  });

  test('whose claim names a class that is not there says so', async () => {
    await service.create(blank('no-class', { by: 'pvc', storageClassName: 'never' }));
    await until('the condition names the class', 60_000, async () => {
      const bound = await conditionOf(service, { namespace, name: 'no-class' }, 'Bound');
      return bound?.message?.includes('there is no StorageClass never. Create it, or create the DataVolume again');
    });
    await remove('no-class');
  });

  test('that exceeds a quota says so, and goes on when the quota is raised', async () => {
    const quota = (most: string) => ({
      ...{ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { namespace, name: 'claims' } },
      spec: { hard: { persistentvolumeclaims: most } },
    });
    await service.create(quota('0'));
    await until('the quota is counted', 60_000, async () => {
      const { status } = await cluster.kubectl.get('resourcequota', 'claims', '-n', namespace);
      return JSON.stringify(status).includes('used');
    });
    await service.create(blank('over-quota', {}));
    const place = { namespace, name: 'over-quota' };
    const bound = await untilCondition(service, place, 'Bound', 'ErrExceededQuota');
    expect(bound.message).toContain('exceeded quota: claims, requested: persistentvolumeclaims=1');
    expect(bound.message).toContain('Raise the quota or delete other objects.');
    expect(await conditionOf(service, place, 'Ready')).toMatchObject({ status: 'False', reason: 'ErrExceededQuota' });
    expect(await described('over-quota')).toMatch(/Warning\s+ErrExceededQuota /);
    await service.untilPhase(namespace, 'over-quota', 'Pending');
    expect(await claims()).toBe('');
    await cluster.kubectl.out(['apply', '-f', '-', '--server-side', '--force-conflicts'], JSON.stringify(quota('9')));
    await service.untilPhase(namespace, 'over-quota', 'Succeeded');
    await remove('over-quota');
    await cluster.kubectl.out(['delete', 'resourcequota', 'claims', '-n', namespace]);
  });

  test('for which no node has room says how large a volume may be, and leaves nothing', async () => {
    await service.create(blank('huge', { size: '900Ti' }));
    const bound = await untilCondition(service, { namespace, name: 'huge' }, 'Bound', 'PoolFull');
    expect(bound.message).toMatch(/node \S+: \d+ bytes were asked; the largest volume has \d+/);
    const events = await cluster.kubectl.out(['get', 'events', '-n', namespace, '--field-selector', 'type=Warning']);
    expect(events).toContain('ResourceExhausted');
    await remove('huge');
    await until('the claim is gone', 60_000, async () => (await claims()) === '');
    expect(await leftovers(service)).toEqual([]);
  });

  test.each<[string, Record<string, unknown>]>([
    ['two sources', { source: { blank: {}, upload: {} } }],
    ['no source', {}],
    ['a URL of another scheme', { source: { http: { url: 'ftp://server/disk.img' } } }],
    ['no size', { storage: {} }],
    ['a size that is none', { storage: { resources: { requests: { storage: '0' } } } }],
    ['both storage and pvc', { pvc: { resources: { requests: { storage: '1Gi' } } } }],
    ['an archive of a blank disk', { contentType: 'archive' }],
  ])('with %s is refused in the words of one machine', async (_what, spec) => {
    const storage = { resources: { requests: { storage: '16Mi' } } };
    const whole = Object.keys(spec).length === 0 ? { storage } : { source: { blank: {} }, storage, ...spec };
    const asked = {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { namespace, name: 'refused' } },
      spec: whole,
    };
    const { code, err } = await cluster.kubectl.answer(['create', '-f', '-'], JSON.stringify(asked));
    expect(code).not.toBe(0);
    expect(err).toContain(wordsOfOneMachine(asked));
  });
});

/** What the API of one machine answers. */
function wordsOfOneMachine(asked: Record<string, unknown>): string {
  const read = readDataVolume(asked);
  if ('causes' in read) return admissionMessage(read.causes);
  const dataVolume: DataVolume = read.dataVolume;
  const causes = validateDataVolume(dataVolume, { operation: 'create', claim: undefined, adoptsClaims: false });
  expect(causes).not.toEqual([]);
  return admissionMessage(causes);
}
