import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../', import.meta.url);
const textOf = (name: string): string => readFileSync(new URL(name, root), 'utf8');

test('CONTRIBUTING.md or README.md tells of every npm script, and of no other', () => {
  const { scripts } = JSON.parse(textOf('package.json'));
  const told = [...`${textOf('CONTRIBUTING.md')}${textOf('README.md')}`.matchAll(/^ {4}npm (?:run )?([a-z:]+)/gm)];
  // `build` is the set-up's: see `npm run setup -- --build`.
  const expected = Object.keys(scripts).filter((name) => name !== 'build');
  expect([...new Set(told.map(([, name]) => name))].sort()).toEqual(expected.sort());
});

test('decisions are numbered without a gap, each in its name and its title', () => {
  const names = readdirSync(new URL('docs/decisions/', root)).sort();
  const numbers = names.map((_name, index) => String(index + 1).padStart(3, '0'));
  expect(names.map((name) => name.slice(0, 4))).toEqual(numbers.map((number) => `${number}-`));
  const titles = names.map((name) => textOf(`docs/decisions/${name}`).slice(0, 7));
  expect(titles).toEqual(numbers.map((number) => `# ${number}: `));
});
