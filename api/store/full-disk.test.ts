import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { SqliteStore } from './sqlite-store.ts';

const directory = mkdtempSync(join(tmpdir(), 'longshore-full-'));

/** @returns why there is none, else undefined */
function mountTinyDisk(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount a small file system';
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', directory], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `no file system can be mounted here: ${String(error)}`;
  }
}

const missing = mountTinyDisk();
afterAll(() => {
  if (missing === undefined) execFileSync('umount', [directory]);
  rmSync(directory, { recursive: true });
});

function configMap(name: string, length: number): ConfigMap {
  const metadata = { name, namespace: 'default' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value: 'x'.repeat(length) } };
}

test(`a full disk is told as such, leaves what was written, and is over when there is room${missing === undefined ? '' : ` (${missing})`}`, async ({
  skip,
}) => {
  if (missing !== undefined) skip(missing);
  const store = await SqliteStore.open(directory);
  await store.create(resources.configMaps, configMap('small', 10));
  const padding = join(directory, 'padding');
  await writeFile(padding, Buffer.alloc(512 * 1024));
  const large = store.create(resources.configMaps, configMap('large', 600_000));
  await expect(large).rejects.toMatchObject({ code: 'NoSpace', row: { http: 507 } });
  expect(store.entries(resources.configMaps).map(({ name }) => name)).toEqual(['small']);
  await rm(padding);
  await store.create(resources.configMaps, configMap('next', 100));
  await store.close();
  const again = await SqliteStore.open(directory);
  expect(again.entries(resources.configMaps).map(({ name }) => name)).toEqual(['next', 'small']);
  await again.close();
});
