import { expect, test } from 'vitest';
import { formatPoolSettings, parsePoolSettings } from './pool-settings.ts';

test.each([
  ['', [{ name: 'default', directory: '/data/pools/default' }]],
  ['/mnt/disk', [{ name: 'default', directory: '/mnt/disk' }]],
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
  ['no name', '=/a'],
  ['a name that is none', 'Fast=/a'],
])('%s is refused', (_what, text) => {
  expect(() => parsePoolSettings(text, '/')).toThrow(expect.objectContaining({ code: 'InvalidSetting' }));
});
