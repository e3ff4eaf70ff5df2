// The `longshore` command, except for the processes of the service, which bin/longshore starts directly.
import { endOfBrokenOutput } from '../cli/broken-output.ts';
import { runProgram } from '../cli/program.ts';
import { Fault } from '../domain/fault.ts';
import { loadConfig } from '../runtime/config.ts';
import { chooseDataDirectory } from '../runtime/data-directory.ts';
import { tell } from '../runtime/tell.ts';
import { versionOfPackage } from '../runtime/version.ts';

const stopping = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => stopping.abort(new Fault('Cancelled', 'stopped waiting; the service goes on')));
}
// Synchronous, and without an error of its own: stderr may be what broke.
const lastWords = { write: (text: string) => tell(2, text) };
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error) => process.exit(endOfBrokenOutput(error, lastWords)));
}
process.exitCode = await runProgram(
  {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    dataDirectory: chooseDataDirectory(loadConfig({ LONGSHORE_DATA: process.env['LONGSHORE_DATA'] }), process.env),
    version: versionOfPackage(),
    signal: stopping.signal,
  },
  process.argv.slice(2),
);
