// The end of a child process as a promise, with the last lines it said, and ending it politely first.
import type { ChildProcess } from 'node:child_process';

export interface ChildExit {
  exitCode: number | undefined;
  signal: NodeJS.Signals | undefined;
  /** The end of what it wrote to those of its pipes that nobody else reads. */
  tail: string;
}

const tailBytes = 4096;

/** Resolves when the child is gone; also when it could not be started (exit code 127). */
export function childExit(child: ChildProcess): Promise<ChildExit> {
  const { promise, resolve } = Promise.withResolvers<ChildExit>();
  let tail = '';
  const keep = (chunk: Buffer): void => {
    tail = (tail + chunk.toString('utf8')).slice(-tailBytes);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  child.once('error', (error) => resolve({ exitCode: 127, signal: undefined, tail: error.message }));
  child.once('close', (code, signal) => {
    resolve({ exitCode: code ?? undefined, signal: signal ?? undefined, tail: tail.trim() });
  });
  return promise;
}

/** SIGTERM, then SIGKILL after the limit; resolves when `exited` does. */
export async function endChild(child: ChildProcess, exited: Promise<unknown>, limitMs: number): Promise<void> {
  child.kill(limitMs > 0 ? 'SIGTERM' : 'SIGKILL');
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  try {
    await exited;
  } finally {
    clearTimeout(timer);
  }
}
