import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { identityOf, isAlive, type ProcessIdentity } from '../runtime/process-identity.ts';
import { findPrograms } from '../runtime/programs.ts';
import { contentDigestOfFile } from './content-digest.ts';
import { copyDisk } from './copy-disk.ts';
import { dataExtents, type Extent, type MappedExtent, QemuImg } from './qemu-img.ts';

const mib = 1024 * 1024;
const { signal } = new AbortController();
const config = { toolMemoryMiB: 1024, toolCpuSeconds: 600 };
const qemuImg = new QemuImg({ programs: findPrograms(['qemu-img']), config });

class Images {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  static async make(): Promise<Images> {
    return new Images(await mkdtemp(join(tmpdir(), 'longshore-images-')));
  }
  path(name: string): string {
    return join(this.root, name);
  }
  /** A raw disk: data, a hole, data. */
  async raw(name: string, sizeBytes: number): Promise<string> {
    const path = this.path(name);
    await writeFile(path, randomBytes(2 * mib));
    await truncate(path, 10 * mib);
    execFileSync('sh', ['-c', 'head -c 1048576 /dev/urandom >> "$1"', 'sh', path]);
    await truncate(path, sizeBytes);
    return path;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

async function digestOf(path: string): Promise<string> {
  return (await contentDigestOfFile(path, { signal })).contentDigest;
}

describe('converting', () => {
  test.each(['qcow2', 'vmdk', 'vdi', 'vpc', 'vhdx'] as const)('a %s becomes a sparse raw disk', async (format) => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib);
    const [image, target] = [images.path('image'), images.path('disk.img')];
    const exact = format === 'vpc' ? ['-o', 'force_size=on'] : [];
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, ...exact, raw, image]);
    const percents: number[] = [];
    let child = 0;
    await qemuImg.convert({
      ...{ source: { path: image }, format, target, signal },
      onProgress: (percent) => percents.push(percent),
      onSpawn: (pid) => {
        child = pid;
      },
    });
    expect(await digestOf(target)).toBe(await digestOf(raw));
    expect((await stat(target)).blocks * 512).toBeLessThan(4 * mib);
    expect(child).toBeGreaterThan(0);
    expect(percents.at(-1)).toBe(100);
    expect(percents).toEqual(percents.toSorted((one, other) => one - other));
  });

  test('a longer target keeps its length, and zeros stay holes', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib);
    const [image, target] = [images.path('image.qcow2'), images.path('disk.img')];
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
    await writeFile(target, '');
    await truncate(target, 64 * mib);
    await qemuImg.convert({ source: { path: image }, format: 'qcow2', target, signal });
    await truncate(raw, 64 * mib);
    expect(await digestOf(target)).toBe(await digestOf(raw));
    expect((await stat(target)).blocks * 512).toBeLessThan(4 * mib);
  });

  test('the source may be an NBD server behind a socket', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib);
    const [image, socket, target] = [images.path('i.qcow2'), images.path('nbd.sock'), images.path('disk.img')];
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
    await chmod(images.root, 0o711); // as a staging directory is
    const server = spawn('qemu-nbd', ['-r', '-f', 'raw', '-k', socket, '-e', '4', image], { stdio: 'ignore' });
    try {
      await expect.poll(async () => await readdir(images.root)).toContain('nbd.sock');
      await qemuImg.convert({ source: { nbdSocket: socket }, format: 'qcow2', target, signal });
    } finally {
      if (server.exitCode === null) {
        server.kill();
        await once(server, 'exit');
      }
    }
    expect(await digestOf(target)).toBe(await digestOf(raw));
  });

  test('something that is not of the format is CorruptImage', async () => {
    await using images = await Images.make();
    const image = images.path('image');
    await writeFile(image, randomBytes(100_000));
    const target = images.path('disk.img');
    const conversion = qemuImg.convert({ source: { path: image }, format: 'qcow2', target, signal });
    await expect(conversion).rejects.toMatchObject({ code: 'CorruptImage' });
    expect(await readdir(images.root)).toEqual(['disk.img', 'image']);
    expect((await stat(target)).size).toBe(0);
  });

  test('a damaged table is CorruptImage', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib);
    const image = images.path('image');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
    const bytes = await readFile(image);
    const tableAt = Number(bytes.readBigUInt64BE(40));
    bytes.writeBigUInt64BE(0x8000_0000_0000_0200n + BigInt(bytes.readBigUInt64BE(tableAt) & 0xfff0_0000n), tableAt);
    await writeFile(image, bytes);
    const target = images.path('disk.img');
    const conversion = qemuImg.convert({ source: { path: image }, format: 'qcow2', target, signal });
    await expect(conversion).rejects.toMatchObject({ code: 'CorruptImage' });
  });

  test('a backing file is out of reach even where nobody inspected the image', async () => {
    await using images = await Images.make();
    const [secret, image] = [images.path('secret'), images.path('image.qcow2')];
    await writeFile(secret, Buffer.alloc(mib, 's'), { mode: 0o600 });
    execFileSync('qemu-img', ['create', '-f', 'qcow2', '-F', 'raw', '-b', secret, image]);
    const target = images.path('disk.img');
    const conversion = qemuImg.convert({ source: { path: image }, format: 'qcow2', target, signal });
    // As an ordinary user there is no other user to be: then the inspector is the one guard.
    if (process.geteuid?.() === 0) {
      await expect(conversion).rejects.toMatchObject({ name: 'Fault' });
      expect((await stat(target)).size).toBe(0);
    } else await conversion;
  });

  test('more than the cap is ImageTooLarge', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib);
    const target = images.path('disk.img');
    const request = { source: { path: raw }, format: 'raw', target, signal, capBytes: 8 * mib } as const;
    await expect(qemuImg.convert(request)).rejects.toMatchObject({ code: 'ImageTooLarge' });
  });

  test('an abort ends the child; who refuses it at its start ends it too', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 64 * mib);
    for (const how of ['abort', 'refuse']) {
      const stop = new AbortController();
      let child: ProcessIdentity | undefined;
      const conversion = qemuImg.convert({
        ...{ source: { path: raw }, format: 'raw', target: images.path(how), signal: stop.signal },
        onSpawn: (pid) => {
          child = identityOf(pid);
          if (how === 'refuse') throw new Error('not mine any more');
          stop.abort();
        },
      });
      await expect(conversion).rejects.toMatchObject({ code: how === 'abort' ? 'Cancelled' : 'ConversionFailed' });
      if (child === undefined) throw new Error('qemu-img did not start');
      expect(isAlive(child)).toBe(false);
    }
  });
});

test('extents are the data of a raw file, in order', async () => {
  await using images = await Images.make();
  const raw = await images.raw('raw', 32 * mib);
  const extents: Extent[] = [];
  for await (const extent of qemuImg.extents(raw, signal)) extents.push(extent);
  expect(extents).toEqual([
    { start: 0, length: 2 * mib },
    { start: 10 * mib, length: mib },
  ]);
});

test.each([
  ['a line without end', 'exec head -c 67108864 /dev/zero'],
  ['a number beyond all disks', `echo '[{ "start": 0, "length": 99999999999999999999, "data": true}]'`],
])('a qemu-img that says %s is ConversionFailed', async (_, saying) => {
  await using images = await Images.make();
  const program = images.path('qemu-img');
  await writeFile(program, `#!/bin/sh\n${saying}\n`, { mode: 0o755 });
  const extents = dataExtents(await images.raw('raw', 16 * mib), { program, signal });
  await expect(extents.next()).rejects.toMatchObject({ code: 'ConversionFailed' });
});

describe('the map of an image', () => {
  const mapOf = async (path: string): Promise<MappedExtent[]> => {
    const extents: MappedExtent[] = [];
    for await (const extent of qemuImg.map({ source: { path }, format: 'qcow2', signal })) extents.push(extent);
    return extents;
  };

  test('tells where the bytes of the disk lie, and what is zeros', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib);
    const image = images.path('i.qcow2');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
    const [disk, file] = [await readFile(raw), await readFile(image)];
    const extents = await mapOf(image);
    expect(extents.reduce((end, { start, length }) => (start === end ? start + length : -1), 0)).toBe(32 * mib);
    expect(extents.map(({ zero }) => zero)).toEqual([false, true, false, true]);
    for (const { start, length, zero, offset } of extents) {
      const content = offset === undefined ? Buffer.alloc(length) : file.subarray(offset, offset + length);
      expect(zero).toBe(offset === undefined);
      expect(content.equals(disk.subarray(start, start + length))).toBe(true);
    }
  });

  test('has no place for what is compressed', async () => {
    await using images = await Images.make();
    const raw = images.path('raw');
    await writeFile(raw, Buffer.alloc(mib, 'text'));
    const image = images.path('i.qcow2');
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, image]);
    expect(await mapOf(image)).toEqual([{ start: 0, length: mib, zero: false, data: true, offset: undefined }]);
  });

  test('of no qcow2 is CorruptImage', async () => {
    await using images = await Images.make();
    await expect(mapOf(await images.raw('raw', 16 * mib))).rejects.toMatchObject({ code: 'CorruptImage' });
  });
});

describe('copying', () => {
  test('a copy has the same content, length and holes', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 32 * mib + 12_345);
    const to = images.path('copy');
    expect(await copyDisk({ from: raw, to, reflink: 'never', signal })).toBe('copy');
    expect(await contentDigestOfFile(to, { signal })).toEqual(await contentDigestOfFile(raw, { signal }));
    expect(await copyDisk({ from: raw, to: images.path('other'), reflink: 'auto', signal })).toMatch(/reflink|copy/);
    expect(await digestOf(images.path('other'))).toBe(await digestOf(raw));
  });

  test('an aborted copy ends its child', async () => {
    await using images = await Images.make();
    const raw = await images.raw('raw', 64 * mib);
    const stop = new AbortController();
    let child: ProcessIdentity | undefined;
    const onSpawn = (pid: number): void => {
      child = identityOf(pid);
      stop.abort();
    };
    const copy = copyDisk({ from: raw, to: images.path('copy'), reflink: 'never', signal: stop.signal, onSpawn });
    await expect(copy).rejects.toMatchObject({ code: 'Cancelled' });
    expect(child !== undefined && isAlive(child)).toBe(false);
  });

  test.skipIf(process.geteuid?.() !== 0)('on XFS a copy shares its blocks (needs root to mount)', async ({ skip }) => {
    if (!findPrograms([]).has('mkfs.xfs')) skip('mkfs.xfs is not installed (xfsprogs)');
    await using images = await Images.make();
    const target = images.path('mounted');
    execFileSync('mkdir', [target]);
    execFileSync('truncate', ['-s', '512M', images.path('xfs')]);
    execFileSync('/usr/sbin/mkfs.xfs', ['-q', '-m', 'reflink=1', images.path('xfs')]);
    execFileSync('mount', ['-o', 'loop', images.path('xfs'), target]);
    try {
      const from = join(target, 'from');
      execFileSync('cp', ['--sparse=always', await images.raw('raw', 32 * mib), from]);
      const to = join(target, 'to');
      expect(await copyDisk({ from, to, reflink: 'auto', signal })).toBe('reflink');
      expect(await digestOf(to)).toBe(await digestOf(from));
      expect(await copyDisk({ from, to: join(target, 'own'), reflink: 'never', signal })).toBe('copy');
    } finally {
      execFileSync('umount', [target]);
    }
  });
});
