// Every file that is made from the code, by its path in the repository: the pages of docs/generated, the CRDs of the chart, and its page.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { customResources } from '../domain/custom-resources/custom-resources.ts';
import { chartReadme, chartReadmeText } from './chart-readme.ts';
import { definitionFile } from './custom-resource-definition.ts';
import { generatedPages } from './generated-pages.ts';

const pages = 'docs/generated';
const definitions = 'charts/longshore/files/crds';

/** These hold generated files only. */
export const generatedFolders = [pages, definitions] as const;

export function generatedFiles(): ReadonlyMap<string, string> {
  const crds = customResources.map((resource) => {
    const [name, content] = definitionFile(resource);
    return [`${definitions}/${name}`, content] as const;
  });
  const readme = chartReadmeText(new URL('../charts/longshore/values.yaml', import.meta.url));
  return new Map([
    ...[...generatedPages()].map(([name, content]) => [`${pages}/${name}`, content] as const),
    ...crds,
    [chartReadme, readme] as const,
  ]);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function filesIn(root: string, folder: string): string[] {
  try {
    return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Generated files below the root that the code no longer makes. */
export function leftoverFiles(root: string): string[] {
  const made = generatedFiles();
  return generatedFolders.flatMap((folder) => filesIn(root, folder)).filter((path) => !made.has(path));
}

/** @returns a sentence for each file below the root that is missing, left over, or not what the code says now */
export function findDrift(root: string): string[] {
  const drift = [...generatedFiles()].flatMap(([path, expected]) => {
    const found = readIfThere(join(root, path));
    if (found === undefined) return [`${path} is missing`];
    if (found === expected) return [];
    const lines = expected.split('\n');
    const line = found.split('\n').findIndex((text, index) => text !== lines[index]);
    return [`${path} differs from the code from line ${line < 0 ? lines.length : line + 1} on`];
  });
  return [...drift, ...leftoverFiles(root).map((path) => `${path} is no longer made`)];
}
