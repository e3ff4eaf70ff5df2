// How much users may store, over real HTTPS. The service's own writes go past the API and are not held to it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { ApiUnderTest, dataVolume, dataVolumesPath } from '../../test/kubectl/running-api.ts';
import { largestObjectBytes } from './object-limits.ts';

let under: ApiUnderTest;
beforeAll(async () => {
  under = await ApiUnderTest.start({ config: { storeBudgetMiB: 4 } });
});
afterAll(() => under.close());

const mapsPath = '/api/v1/namespaces/default/configmaps';
const merge = { 'content-type': 'application/merge-patch+json' };
const apply = { 'content-type': 'application/apply-patch+yaml' };
const finalizers = ['longshore.dev/kept'];

function withNotes(name: string, length: number): object {
  return dataVolume(name, { metadata: { name, annotations: { notes: 'x'.repeat(length) } } });
}

function map(name: string, length: number): ConfigMap {
  const metadata = { name, namespace: 'default' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value: 'x'.repeat(length) } };
}

const tooMuch = largestObjectBytes;
const refusal = {
  status: 413,
  headers: { 'longshore-fault': 'TooLarge' },
  body: {
    reason: 'RequestEntityTooLarge',
    message: expect.stringMatching(
      /datavolumes.cdi.kubevirt.io "\w+" is too large: 15\d{5} bytes; an object may have 1572864/,
    ),
  },
};

describe('one object', () => {
  test('of more than 1.5 MiB is refused however it is written', async () => {
    const path = `${dataVolumesPath}/small`;
    await under.ask({ method: 'POST', path: dataVolumesPath, body: withNotes('small', 10) });
    const large = { metadata: { annotations: { notes: 'x'.repeat(tooMuch) } } };
    const stored = await under.store.get(resources.dataVolumes, { namespace: 'default', name: 'small' });
    const metadata = { ...stored?.metadata, ...large.metadata };
    const answers = [
      await under.ask({ method: 'POST', path: dataVolumesPath, body: withNotes('large', tooMuch) }),
      await under.ask({ method: 'PUT', path, body: { ...stored, metadata } }),
      await under.ask({ method: 'PATCH', path, headers: merge, body: large }),
      await under.ask({
        method: 'PATCH',
        path: `${path}?fieldManager=t&force=true`,
        headers: apply,
        body: withNotes('small', tooMuch),
      }),
      await under.ask({
        method: 'PATCH',
        path: `${dataVolumesPath}/none?fieldManager=t`,
        headers: apply,
        body: withNotes('none', tooMuch),
      }),
      await under.ask({
        method: 'PATCH',
        path: `${path}/status`,
        headers: merge,
        body: { status: { phase: 'x'.repeat(tooMuch) } },
      }),
    ];
    for (const answer of answers) expect(answer).toMatchObject(refusal);
    const url = `http://host/${'x'.repeat(tooMuch - 2_000)}`;
    const fitting = dataVolume('fits', {
      spec: { source: { http: { url } }, storage: { resources: { requests: { storage: '1Gi' } } } },
    });
    const fits = await under.ask({ method: 'POST', path: dataVolumesPath, body: fitting });
    expect(fits.status).toBe(201);
    expect((await under.ask({ method: 'DELETE', path: `${dataVolumesPath}/fits` })).status).toBe(200);
    expect(under.store.entries(resources.dataVolumes).map(({ name }) => name)).toEqual(['small']);
  });

  test('that the service made larger can still be made smaller, and be deleted', async () => {
    await under.ask({ method: 'POST', path: dataVolumesPath, body: dataVolume('grown') });
    const made = await under.store.get(resources.dataVolumes, { namespace: 'default', name: 'grown' });
    if (made === undefined) throw new Error('it was not made');
    const metadata = { ...made.metadata, finalizers, annotations: { notes: 'x'.repeat(tooMuch) } };
    await under.store.update(resources.dataVolumes, { ...made, metadata });
    const path = `${dataVolumesPath}/grown`;
    const longer = await under.ask({
      method: 'PATCH',
      path,
      headers: merge,
      body: { metadata: { labels: { a: 'b' } } },
    });
    expect(longer.status).toBe(413);
    expect((await under.ask({ method: 'DELETE', path })).body).toMatchObject({ metadata: { finalizers } });
    const body = { metadata: { finalizers: null } };
    expect((await under.ask({ method: 'PATCH', path, headers: merge, body })).status).toBe(200);
    expect(under.store.entry(resources.dataVolumes, { namespace: 'default', name: 'grown' })).toBeUndefined();
  });
});

describe('all objects together', () => {
  test('users make no more when the budget is used up; the service goes on, deleting works and makes room', async () => {
    const make = (n: number) => under.ask({ method: 'POST', path: mapsPath, body: map(`m${n}`, 500_000) });
    const made = await Promise.all(Array.from({ length: 12 }, (_, n) => make(n)));
    const there = under.store.entries(resources.configMaps, { namespace: 'default' }).map(({ name }) => name);
    expect(made.filter(({ status }) => status === 201)).toHaveLength(8);
    expect(there).toHaveLength(8);
    const refused = made.find(({ status }) => status !== 201);
    expect(refused).toMatchObject({
      status: 403,
      headers: { 'longshore-fault': 'Quota' },
      body: {
        reason: 'Forbidden',
        message: expect.stringMatching(/all objects have \d+ bytes, of 4194304 .*STORE_BUDGET_MIB/),
      },
    });
    const [first = ''] = there;
    const path = `${mapsPath}/${first}`;
    const label = { metadata: { labels: { still: 'possible' } } };
    expect((await under.ask({ method: 'PATCH', path, headers: merge, body: label })).status).toBe(200);
    const doubled = { data: { other: 'x'.repeat(500_000) } };
    const grown = there.slice(1, 3).map((name) => `${mapsPath}/${name}`);
    const statuses: number[] = [];
    for (const one of grown) {
      statuses.push((await under.ask({ method: 'PATCH', path: one, headers: merge, body: doubled })).status);
    }
    expect(statuses).toEqual([200, 403]);
    await under.store.create(resources.configMaps, map('own', 500_000));
    expect((await make(13)).status).toBe(403);
    for (const name of ['own', first, ...there.slice(1, 3)]) {
      expect((await under.ask({ method: 'DELETE', path: `${mapsPath}/${name}` })).status).toBe(200);
    }
    expect((await make(14)).status).toBe(201);
  });
});
