// Which file of which layer is the disk, as a container would see it.
import { describe, expect, test } from 'vitest';
import type { TarType } from '../tar/tar-header.ts';
import { DiskSearch } from './disk-search.ts';

type Layer = readonly (string | [string, TarType])[];

/** @param layers the topmost first */
function found(...layers: Layer[]): string | undefined {
  const search = new DiskSearch();
  let disk: string | undefined;
  for (const [depth, layer] of layers.entries()) {
    if (search.isSettled) break;
    for (const entry of layer) {
      const [name, type] = typeof entry === 'string' ? [entry, 'file' as const] : entry;
      const taken = search.take({ name, type, linkName: '', mode: 0, modified: 0, bodyBytes: 1, bodyOffset: 0 });
      if (taken) disk = `${depth}:${name}`;
    }
    search.endLayer();
  }
  return disk;
}

test.each<[string, Layer[], string | undefined]>([
  ['one file in one layer', [['disk/a']], '0:disk/a'],
  ['with its directory and a dot before', [[['./disk/', 'directory'], './disk/a']], '0:./disk/a'],
  ['deeper down', [['disk/deep/a']], '0:disk/deep/a'],
  ['in a lower layer', [['etc/passwd'], ['disk/a']], '1:disk/a'],
  ['replaced by an upper layer', [['disk/a'], ['disk/a']], '0:disk/a'],
  ['deleted by an upper layer', [['disk/.wh.a'], ['disk/a']], undefined],
  ['deleted, and another one made', [['disk/.wh.a', 'disk/b'], ['disk/a']], '0:disk/b'],
  [
    'made before the whiteout of its directory in the same layer',
    [['disk/b', 'disk/.wh..wh..opq'], ['disk/a']],
    '0:disk/b',
  ],
  ['its whole directory deleted', [['.wh.disk'], ['disk/a']], undefined],
  ['its whole directory made anew', [['.wh.disk', 'disk/b'], ['disk/a']], '0:disk/b'],
  ['everything deleted', [['.wh..wh..opq'], ['disk/a']], undefined],
  ['its directory replaced by a file', [['disk'], ['disk/a']], undefined],
  ['replaced by a directory', [[['disk/a', 'directory']], ['disk/a']], undefined],
  ['deleted and made again above', [['disk/a'], ['disk/.wh.a'], ['disk/a']], '0:disk/a'],
  ['only notes of the storage driver', [['disk/.wh..wh.plnk']], undefined],
  ['a name that only begins so', [['diskette/a', 'disks']], undefined],
  ['a link that an upper layer deleted', [['disk/.wh.l'], [['disk/l', 'symbolic link']], ['disk/a']], '2:disk/a'],
])('%s', (_what, layers, disk) => {
  expect(found(...layers)).toBe(disk);
});

describe('is refused', () => {
  test.each<[string, Layer[], string, RegExp]>([
    ['two files in one layer', [['disk/a', 'disk/b']], 'NotAContainerDisk', /more than one file: disk\/a, disk\/b/],
    ['a second file below', [['disk/a'], ['disk/b']], 'NotAContainerDisk', /more than one file: disk\/a, disk\/b/],
    ['the same file twice', [['disk/a', './disk/a']], 'NotAContainerDisk', /disk\/a is there twice/],
    ['a symbolic link', [[['disk/a', 'symbolic link']]], 'HostileImage', /disk\/a is a symbolic link/],
    ['a hard link', [[['disk/a', 'hard link']]], 'HostileImage', /hard link/],
    ['a block device', [[['disk/a', 'block device']]], 'HostileImage', /block device/],
    ['a fifo', [[['disk/a', 'fifo']]], 'HostileImage', /fifo/],
    ['an entry of no known type', [[['disk/a', 'unknown']]], 'HostileImage', /unknown/],
    ['a directory that is a link', [[['disk', 'symbolic link']]], 'HostileImage', /disk is a symbolic link/],
    ['a sparse file', [[['disk/a', 'sparse file']]], 'NotAContainerDisk', /--sparse/],
    ['a path that leads upwards', [['etc/../../disk/a']], 'HostileImage', /content filepath is tainted/],
  ])('%s', (_what, layers, code, detail) => {
    expect(() => found(...layers)).toThrow(expect.objectContaining({ code, detail: expect.stringMatching(detail) }));
  });
});
