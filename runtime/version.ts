// The version of this package, for whoever asks.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** package.json lies beside runtime/, or beside dist/ where this is compiled. */
export function versionOfPackage(): string {
  const places = ['../package.json', '../../package.json'].map((place) => join(import.meta.dirname, place));
  const path = places.find(existsSync);
  const content: unknown = path === undefined ? undefined : JSON.parse(readFileSync(path, 'utf8'));
  const hasVersion = typeof content === 'object' && content !== null && 'version' in content;
  return hasVersion && typeof content.version === 'string' ? content.version : 'unknown';
}
