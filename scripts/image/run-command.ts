// Runs a program of the system for the build of the image; what it says is shown only when it fails.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const outputLimit = 64 * 1024 * 1024;

/** @returns what it wrote to its standard output; where it fails, throws all that it said */
export async function runCommand(program: string, args: readonly string[], directory?: string): Promise<string> {
  const options = { maxBuffer: outputLimit, ...(directory === undefined ? {} : { cwd: directory }) };
  try {
    return (await run(program, [...args], options)).stdout;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // The message has its standard error; tsc tells what is wrong on its standard output.
    const said = 'stdout' in error ? String(error.stdout) : '';
    throw new Error(`${error.message}${said}`.trim(), { cause: error });
  }
}
