// The plain sha256 of a file: every byte, holes as zeros, so it costs by the size. In a thread of its own, since a sha256 cannot be made in parts.
import { Worker } from 'node:worker_threads';
import { Fault, toFault } from '../domain/fault.ts';

/** @returns `sha256:hex`. @throws Fault, or the reason of the abort */
export async function sha256OfFile(path: string, { signal }: { signal: AbortSignal }): Promise<string> {
  if (signal.aborted) throw toFault(signal.reason, { signal });
  const thread = new Worker(threadUrl(), { workerData: path, execArgv: [] });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const abort = (): void => reject(toFault(signal.reason, { signal }));
  signal.addEventListener('abort', abort, { once: true });
  thread.once('message', (hex: unknown) => resolve(`sha256:${String(hex)}`));
  thread.once('error', (error) => reject(toFault(error)));
  thread.once('exit', (code) => reject(new Fault('Internal', `the hashing thread ended with ${code}`)));
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', abort);
    await thread.terminate();
  }
}

/** Beside this file, with its ending: .ts where tests run the sources, .js where the product runs. */
function threadUrl(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('./sha256-thread.ts', import.meta.url)
    : new URL('./sha256-thread.js', import.meta.url);
}
