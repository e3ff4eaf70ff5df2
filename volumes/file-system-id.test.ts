import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TemporaryLoops } from '../test/temporary-loops.ts';
import { TemporaryPool } from '../test/temporary-pool.ts';
import { fileSystemIdOf } from './file-system-id.ts';

const canMount = TemporaryLoops.possible();

describe.skipIf(!canMount)('the id of a file system', () => {
  test.each(['ext4', 'xfs'] as const)(
    'of %s stays over mounts at other devices, and is another’s on another',
    async (type) => {
      await using loops = await TemporaryLoops.make();
      const [one, other] = [await loops.format(type), await loops.format(type)];
      const first = await loops.mount(one);
      const id = await fileSystemIdOf(first);
      expect(id).toMatch(type === 'xfs' ? /^xfs:[0-9a-f-]{36}$/ : /^ext2\/ext3:[0-9a-f]+$/);
      const second = await loops.mount(other);
      expect(await fileSystemIdOf(second)).not.toBe(id);
      loops.unmount(first);
      expect(await fileSystemIdOf(await loops.mount(one))).toBe(id);
    },
  );

  test('a pool whose files were copied to another disk is PoolMissing, until somebody says that it was moved', async () => {
    await using loops = await TemporaryLoops.make();
    await using place = await TemporaryPool.make();
    await (await place.open()).close();
    const made: { fileSystem?: string } = JSON.parse(await readFile(join(place.directory, 'pool.json'), 'utf8'));
    const disk = await loops.mount(await loops.format('ext4'));
    const copy = join(disk, 'pool');
    await mkdir(copy);
    await cp(place.directory, copy, { recursive: true });
    if (made.fileSystem === undefined)
      await writeFile(join(copy, 'pool.json'), JSON.stringify({ ...made, fileSystem: 'ext2/ext3:0' }));
    const options = { directory: copy, marker: join(place.root, 'other') };
    await expect(place.open(options)).rejects.toMatchObject({
      code: 'PoolMissing',
      detail: expect.stringContaining('lies on the file system'),
    });
    const { fileSystem: _, ...moved } = made;
    await writeFile(join(copy, 'pool.json'), JSON.stringify(moved));
    await (await place.open(options)).close();
    expect(JSON.parse(await readFile(join(copy, 'pool.json'), 'utf8'))).toHaveProperty(
      'fileSystem',
      await fileSystemIdOf(copy),
    );
  });
});

test('of one in memory there is none', async () => {
  expect(await fileSystemIdOf('/dev/shm')).toBeUndefined();
  expect(execFileSync('stat', ['-f', '-c', '%T', '/dev/shm'], { encoding: 'utf8' }).trim()).toBe('tmpfs');
});
