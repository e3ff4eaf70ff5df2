import { expect, test } from 'vitest';
import { parseMountTable, readMountTable, shows, showsDevice, showsLoop } from './mount-table.ts';

const id = 'pvc-1b4e28ba-2fa1-41d2-883f-0016d3cca427';

test('mounts have their point, their root and whether they are only read; escaped letters are themselves', () => {
  const text = [
    '21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    `40 21 8:1 /pools/a\\040b/volumes/${id}/data /var/lib/kubelet/x\\134y ro,noatime shared:1 - ext4 /dev/sda1 rw`,
    `41 21 8:1 /volumes/${id}/data//deleted /target rw - ext4 /dev/sda1 rw`,
    '',
  ].join('\n');
  expect(parseMountTable(text)).toEqual([
    { mountPoint: '/', root: '/', type: 'ext4', readOnly: false },
    { mountPoint: '/var/lib/kubelet/x\\y', root: `/pools/a b/volumes/${id}/data`, type: 'ext4', readOnly: true },
    { mountPoint: '/target', root: `/volumes/${id}/data//deleted`, type: 'ext4', readOnly: false },
  ]);
});

test('the data of a volume is told by its id, gone or not; nothing else is', () => {
  const showsRoot = (root: string) => shows({ root, mountPoint: '/t', type: 'ext4', readOnly: false }, id);
  expect([`/p/volumes/${id}/data`, `/volumes/${id}/data//deleted`].map(showsRoot)).toEqual([true, true]);
  const others = ['/', `/volumes/${id}`, `/volumes/${id}/data/inner`, `/volumes/x${id}/data`, `/${id}/data`];
  expect(others.map(showsRoot)).toEqual(others.map(() => false));
});

test('a device is told by its node in devtmpfs, and not by a file of its name', () => {
  const mount = { root: '/loop7', mountPoint: '/t', type: 'devtmpfs', readOnly: false };
  expect([showsDevice(mount, '/dev/loop7'), showsLoop(mount)]).toEqual([true, true]);
  const others = [showsDevice(mount, '/dev/loop70'), showsDevice({ ...mount, type: 'ext4' }, '/dev/loop7')];
  expect([...others, showsLoop({ ...mount, type: 'ext4' })]).toEqual([false, false, false]);
});

test('the table of this machine has what it was read from', async () => {
  expect((await readMountTable()).some(({ mountPoint }) => mountPoint === '/proc')).toBe(true);
});
