// The `longshore` command, except for the processes of the service, which bin/longshore starts directly.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../cli/program.ts';
import { Fault } from '../domain/fault.ts';
import { loadConfig } from '../runtime/config.ts';
import { chooseDataDirectory } from '../runtime/data-directory.ts';

/** package.json lies beside main/, or beside dist/ where this is compiled. */
function versionOfPackage(): string {
  const places = ['../package.json', '../../package.json'].map((place) => join(import.meta.dirname, place));
  const path = places.find(existsSync);
  const content: unknown = path === undefined ? undefined : JSON.parse(readFileSync(path, 'utf8'));
  const hasVersion = typeof content === 'object' && content !== null && 'version' in content;
  return hasVersion && typeof content.version === 'string' ? content.version : 'unknown';
}

const stopping = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => stopping.abort(new Fault('Cancelled', 'stopped waiting; the service goes on')));
}
process.exitCode = await runProgram(
  {
    stdout: process.stdout,
    stderr: process.stderr,
    dataDirectory: chooseDataDirectory(loadConfig({ LONGSHORE_DATA: process.env['LONGSHORE_DATA'] }), process.env),
    version: versionOfPackage(),
    signal: stopping.signal,
  },
  process.argv.slice(2),
);
