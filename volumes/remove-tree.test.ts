// Volumes that a pod filled so that removing them is hard.
import { execFileSync } from 'node:child_process';
import { access, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newVolumeId, reserveOf, silentLogger, TemporaryPool } from '../test/temporary-pool.ts';
import { removeTree } from './remove-tree.ts';

const isRoot = process.geteuid?.() === 0;

async function withTmpfs<T>(directory: string, action: () => Promise<T>): Promise<T> {
  await mkdir(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
  await writeFile(join(directory, 'of another file system'), '');
  try {
    return await action();
  } finally {
    const lines = execFileSync('cat', ['/proc/self/mounts'], { encoding: 'utf8' }).split('\n');
    const name = directory.slice(directory.lastIndexOf('/'));
    const mounted = lines.map((line) => line.split(' ')[1] ?? '').filter((path) => path.endsWith(name));
    execFileSync('umount', mounted);
  }
}

test('one with very many files is removed in little memory', async () => {
  await using place = await TemporaryPool.make();
  const tree = join(place.root, 'tree');
  await mkdir(tree);
  execFileSync('sh', ['-c', 'seq 60000 | xargs touch'], { cwd: tree });
  const module = new URL('./remove-tree.ts', import.meta.url).href;
  const script = `import { removeTree } from '${module}'; await removeTree(process.argv[1]);`;
  execFileSync(process.execPath, ['--max-old-space-size=24', '--input-type=module', '-e', script, tree], {
    stdio: 'pipe',
  });
  await expect(access(tree)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('what its links point to stays, and so does what a link in its place points to', async () => {
  await using place = await TemporaryPool.make();
  const [tree, outside, link] = [join(place.root, '-tree'), join(place.root, 'outside'), join(place.root, 'link')];
  await mkdir(tree);
  await mkdir(outside);
  await writeFile(join(outside, 'file'), '');
  await symlink(outside, join(tree, 'link'));
  await symlink(outside, link);
  await removeTree(link);
  await removeTree(tree);
  await removeTree(tree);
  expect(await readdir(place.root, { recursive: true })).toEqual(['outside', 'outside/file']);
});

test('an abort ends the removal with its reason', async () => {
  await using place = await TemporaryPool.make();
  const tree = join(place.root, 'tree');
  await mkdir(tree);
  const stop = new AbortController();
  const removal = removeTree(tree, stop.signal);
  stop.abort();
  await expect(removal).rejects.toMatchObject({ code: 'Cancelled' });
});

test.skipIf(!isRoot)('a volume that cannot be removed gives back its promise and says why', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, 1024));
  await pool.markPlain(id);
  await withTmpfs(join(pool.dataPath(id), `mounted-${id}`), async () => {
    await expect(pool.delete(id)).rejects.toMatchObject({
      code: 'Internal',
      message: expect.stringMatching(/busy|device/),
    });
    expect(pool.get(id)).toBeUndefined();
    expect((await pool.usage()).reservedBytes).toBe(0);
    const [doomed] = await place.files('staging');
    expect(await readdir(join(place.directory, 'staging', doomed ?? '', 'data', `mounted-${id}`))).toHaveLength(1);
  });
});

test.skipIf(!isRoot)('a leftover that cannot be removed is told, and the pool serves', async () => {
  await using place = await TemporaryPool.make();
  await (await place.open()).close();
  const stuck = join(place.directory, 'staging', 'temporary-0011');
  await mkdir(join(place.directory, 'staging', 'temporary-0012'), { recursive: true });
  await withTmpfs(join(stuck, `mounted-${newVolumeId()}`), async () => {
    const warnings: object[] = [];
    const pool = await place.open({ logger: { ...silentLogger, warn: (facts) => warnings.push(facts) } });
    await pool.reserve(reserveOf(newVolumeId(), 1024));
    await expect.poll(() => warnings).toMatchObject([{ path: stuck }]);
    await expect.poll(() => readdir(join(place.directory, 'staging'))).toEqual(['temporary-0011']);
  });
});

test('what a killed service was deleting does not keep the pool from being closed', async () => {
  await using place = await TemporaryPool.make();
  await (await place.open()).close();
  const staging = join(place.directory, 'staging');
  for (const number of [1, 2, 3]) await mkdir(join(staging, `temporary-${number}`));
  await (await place.open()).close();
  await place.open();
  await expect.poll(() => readdir(staging)).toEqual([]);
});
