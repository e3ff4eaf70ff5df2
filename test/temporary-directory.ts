// A directory for one test or fixture, which is gone when that ends, or when it could not begin.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @param undo removes it again. @param name a short word: sockets lie in some of these, and their paths have a limit */
export async function temporaryDirectory(undo: AsyncDisposableStack, name: string): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), `ls-${name}-`));
  undo.defer(() => rm(path, { recursive: true, force: true }));
  return path;
}
