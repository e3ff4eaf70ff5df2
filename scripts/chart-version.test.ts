import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

test('the chart has the version of the package', () => {
  const root = new URL('../', import.meta.url);
  const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
  const chart = parse(readFileSync(new URL('charts/longshore/Chart.yaml', root), 'utf8'));
  expect(chart).toMatchObject({ name: 'longshore', version, appVersion: version });
});
