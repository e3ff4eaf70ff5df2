// A registry of our own and a pool that imports from it, for tests: one disk, and what the images of a test are made of.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegistryLocation } from '../../importer/registry/registry-store.ts';
import { type Ending, ImportBench } from '../hostile/import-bench.ts';
import { type TarFile, tarArchive } from '../tar-archive.ts';
import { packed, TestRegistry } from './test-registry.ts';

const mib = 1_048_576;
export const sizeBytes = 4 * mib;
const disk = Buffer.concat([randomBytes(mib), Buffer.alloc(mib), randomBytes(mib + 512)]);
export const diskFile: TarFile & { body: Buffer } = { name: 'disk/disk.img', body: disk };
/** Of the volume that holds the disk. */
export const whole = sha256(Buffer.concat([disk, Buffer.alloc(sizeBytes - disk.length)]));

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function layer(...files: TarFile[]): Buffer {
  return packed(tarArchive(files));
}

export class RegistryBench {
  readonly bench: ImportBench;
  readonly registry: TestRegistry;
  /** The disk. */
  readonly qcow2: Buffer;

  private constructor(bench: ImportBench, registry: TestRegistry, qcow2: Buffer) {
    this.bench = bench;
    this.registry = registry;
    this.qcow2 = qcow2;
  }

  static async make(): Promise<RegistryBench> {
    const work = await mkdtemp(join(tmpdir(), 'longshore-registry-'));
    await writeFile(join(work, 'raw'), disk);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
    const qcow2 = await readFile(join(work, 'qcow2'));
    await rm(work, { recursive: true });
    return new RegistryBench(await ImportBench.make(), await TestRegistry.start(), qcow2);
  }

  pull(reference: string, more: Partial<RegistryLocation> = {}): Promise<Ending> {
    const url = this.registry.url(reference);
    const source = { kind: 'registry' as const, url, certificates: [], insecureSkipVerify: true };
    return this.bench.import('', sizeBytes, { source: { ...source, ...more } });
  }

  async close(): Promise<void> {
    await Promise.all([this.bench.close(), this.registry.stop()]);
  }
}
