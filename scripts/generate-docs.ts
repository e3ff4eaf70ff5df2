// `npm run docs`: writes docs/generated. With --check it writes nothing and fails where a page is not what the code says now.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findDrift, generatedPages } from './generated-pages.ts';

const directory = fileURLToPath(new URL('../docs/generated/', import.meta.url));

function check(): void {
  const drift = findDrift(directory);
  if (drift.length === 0) return;
  process.stderr.write(`docs/generated is out of date:\n${drift.map((line) => `  ${line}\n`).join('')}`);
  process.stderr.write('Run `npm run docs` and commit what it writes.\n');
  process.exitCode = 1;
}

function write(): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of generatedPages()) writeFileSync(`${directory}${name}`, content);
}

if (process.argv.includes('--check')) check();
else write();
