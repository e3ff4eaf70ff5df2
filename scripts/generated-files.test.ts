import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findDrift, generatedFiles } from './generated-files.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longshore-generated-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

test('generated files that are missing, changed or left over are found', () => {
  for (const [path, content] of generatedFiles()) write(path, content);
  expect(findDrift(root)).toEqual([]);
  write('docs/generated/errors.md', `${generatedFiles().get('docs/generated/errors.md')}more\n`);
  rmSync(join(root, 'docs/generated/jobs.md'));
  const crd = 'charts/longshore/files/crds/cdis.cdi.kubevirt.io.yaml';
  write(crd, generatedFiles().get(crd)?.replace('scope: Cluster', 'scope: Namespaced') ?? '');
  write('charts/longshore/files/crds/old.cdi.kubevirt.io.yaml', '{}');
  expect(findDrift(root)).toEqual([
    expect.stringMatching(/^docs\/generated\/errors\.md differs from the code from line \d+ on$/),
    'docs/generated/jobs.md is missing',
    expect.stringMatching(
      /^charts\/longshore\/files\/crds\/cdis\.cdi\.kubevirt\.io\.yaml differs from the code from line \d+ on$/,
    ),
    'charts/longshore/files/crds/old.cdi.kubevirt.io.yaml is no longer made',
  ]);
});
