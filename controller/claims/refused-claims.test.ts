import { expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { RefusedClaims } from './refused-claims.ts';

const claimOf = (storage: string): Claim => ({
  ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { namespace: 'ns', name: 'c' } },
  spec: { resources: { requests: { storage } } },
});
const quota = new Fault('Quota', 'exceeded quota: claims');

test('a claim that was refused stands for a time that doubles up to five minutes', () => {
  const refused = new RefusedClaims();
  const waits: (number | undefined)[] = [];
  for (let [now, round] = [0, 0]; round < 9; round += 1) {
    expect(refused.standing('ns/c', claimOf('1Gi'), now)).toBeUndefined();
    refused.add('ns/c', claimOf('1Gi'), quota, now);
    expect(refused.standing('ns/c', claimOf('1Gi'), now)).toBe(quota);
    const wait = refused.waitMs('ns/c', now) ?? 0;
    waits.push(wait / 1_000);
    now += wait;
  }
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
});

test('one that would be made otherwise is tried at once, and its delays begin anew', () => {
  const refused = new RefusedClaims();
  refused.add('ns/c', claimOf('1Gi'), quota, 0);
  refused.add('ns/c', claimOf('1Gi'), quota, 5_000);
  expect(refused.standing('ns/c', claimOf('2Gi'), 5_001)).toBeUndefined();
  refused.add('ns/c', claimOf('2Gi'), quota, 5_001);
  expect(refused.waitMs('ns/c', 5_001)).toBe(5_000);
});

test('what is forgotten is tried at once', () => {
  const refused = new RefusedClaims();
  refused.add('ns/c', claimOf('1Gi'), quota, 0);
  refused.forget('ns/c');
  expect([refused.standing('ns/c', claimOf('1Gi'), 0), refused.waitMs('ns/c', 0)]).toEqual([undefined, undefined]);
});
