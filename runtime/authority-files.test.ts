// How one CA takes the place of another, with the clock moved.
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Authority, type AuthorityLife, certificatesIn, openAuthority } from './authority-files.ts';

const day = 86_400_000;
const life: AuthorityLife = { lifetimeSeconds: 60 * 86_400, toldSeconds: 7_200 };
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-authority-'));
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2030-01-01T00:00:00Z') });
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(directory, { recursive: true });
});

async function afterDays(days: number): Promise<Authority> {
  vi.setSystemTime(new Date('2030-01-01T00:00:00Z').getTime() + days * day);
  return openAuthority(directory, life);
}

const files = async () => (await readdir(directory)).sort();
const file = (name: string) => readFile(join(directory, name), 'utf8');

test('a CA stays until a third of its life is left', async () => {
  const first = await afterDays(0);
  expect(await afterDays(39)).toEqual(first);
  expect(first.trusted).toBe(first.cert);
  expect(await files()).toEqual(['ca.crt', 'ca.key']);
});

test('the next one is trusted first, signs later, and the former is trusted until it ends', async () => {
  const first = await afterDays(0);
  const told = await afterDays(41);
  const [, next = ''] = certificatesIn(told.trusted);
  expect([told.cert, told.key, told.trusted]).toEqual([first.cert, first.key, `${first.cert}${next}`]);
  expect(await files()).toEqual(['ca-next.crt', 'ca-next.key', 'ca.crt', 'ca.key']);
  expect(await afterDays(49)).toEqual(told);
  const second = await afterDays(51);
  expect([second.cert, second.trusted]).toEqual([next, `${next}${first.cert}`]);
  expect(new X509Certificate(second.cert).subject).toBe('CN=Longshore CA');
  expect([await file('ca.crt'), await file('ca.key'), await files()]).toEqual([
    ...[second.trusted, second.key],
    ['ca.crt', 'ca.key'],
  ]);
  expect((await afterDays(59)).trusted).toBe(second.trusted);
  expect((await afterDays(61)).trusted).toBe(next);
});

test('one that is told late, because nothing ran, signs only when everybody has heard of it', async () => {
  const first = await afterDays(0);
  expect((await afterDays(55)).cert).toBe(first.cert);
  expect((await afterDays(55.08)).cert).toBe(first.cert);
  expect((await afterDays(55.1)).cert).not.toBe(first.cert);
});

test('one that has ended, because nothing ran, is replaced at once', async () => {
  const first = await afterDays(0);
  const { cert, trusted } = await afterDays(70);
  expect(cert).not.toBe(first.cert);
  expect(trusted).toBe(cert);
  expect(await files()).toEqual(['ca.crt', 'ca.key']);
});

test('a crash in the middle of each step is made good by the next look', async () => {
  await afterDays(0);
  const before = await file('ca.crt');
  await afterDays(41);
  await writeFile(join(directory, 'ca.crt'), before); // made, and not told
  expect((await afterDays(51)).trusted).toBe(`${before}${await file('ca-next.crt')}`);
  const [key, cert] = [await file('ca-next.key'), await file('ca-next.crt')];
  await writeFile(join(directory, 'ca.key'), key); // it signs, and stands second, and its files are there still
  expect(await afterDays(52)).toEqual({ cert, key, trusted: `${cert}${before}` });
  expect(await files()).toEqual(['ca.crt', 'ca.key']);
});

test('a key that belongs to no certificate is refused', async () => {
  await afterDays(0);
  const key = await file('ca.key');
  await rm(join(directory, 'ca.key'));
  await afterDays(0);
  await writeFile(join(directory, 'ca.key'), key);
  await expect(afterDays(0)).rejects.toMatchObject({ code: 'Internal' });
});
