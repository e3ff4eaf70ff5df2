// `npm run docs`: writes docs/generated, and the CRDs and the page of the chart. With --check it writes nothing and fails where a file is not what the code says now.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findDrift, generatedFiles, generatedFolders, leftoverFiles } from './generated-files.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

function check(): void {
  const drift = findDrift(root);
  if (drift.length === 0) return;
  process.stderr.write(`Generated files are out of date:\n${drift.map((line) => `  ${line}\n`).join('')}`);
  process.stderr.write('Run `npm run docs` and commit what it writes.\n');
  process.exitCode = 1;
}

function write(): void {
  for (const folder of generatedFolders) mkdirSync(`${root}${folder}`, { recursive: true });
  for (const [path, content] of generatedFiles()) writeFileSync(`${root}${path}`, content);
  for (const path of leftoverFiles(root)) rmSync(`${root}${path}`);
}

if (process.argv.includes('--check')) check();
else write();
