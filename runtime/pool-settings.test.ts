import { expect, test } from 'vitest';
import { formatPoolSettings, parsePoolSettings } from './pool-settings.ts';

test.each([
  ['', [{ name: 'default', directory: '/data/pools/default' }]],
  ['/mnt/disk', [{ name: 'default', directory: '/mnt/disk' }]],
  ['tight:loop=/mnt/disk', [{ name: 'tight', directory: '/mnt/disk', enforcement: 'loop' }]],
  ['wide:none=/mnt/a:b=c', [{ name: 'wide', directory: '/mnt/a:b=c', enforcement: 'none' }]],
  ['/mnt/a=b', [{ name: 'default', directory: '/mnt/a=b' }]],
  [
    'fast=/mnt/nvme/, slow=/mnt/disk',
    [
      { name: 'fast', directory: '/mnt/nvme' },
      { name: 'slow', directory: '/mnt/disk' },
    ],
  ],
])('%j names the pools', (text, settings) => {
  const parsed = parsePoolSettings(text, '/data/pools/default');
  expect(parsed).toEqual(settings);
  expect(parsePoolSettings(formatPoolSettings(parsed), '/elsewhere')).toEqual(settings);
});

test.each([
  ['two without a name', '/a,/b'],
  ['two of one name', 'x=/a,x=/b'],
  ['one directory twice', 'x=/a,y=/a/'],
  ['no directory', 'x='],
  ['an enforcement that nobody knows', 'x:belief=/a'],
  ['no name', '=/a'],
  ['a name that is none', 'Fast=/a'],
])('%s is refused', (_what, text) => {
  expect(() => parsePoolSettings(text, '/')).toThrow(expect.objectContaining({ code: 'InvalidSetting' }));
});
