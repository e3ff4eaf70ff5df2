// A clone of a directory of files within one pool: each file by shared blocks or a sparse copy, and then both are compared by their digests.
import { Fault, toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import { copyTree } from '../volumes/copy-tree.ts';
import type { Staging } from '../volumes/staging.ts';
import { treeDigest } from '../volumes/tree-digest.ts';
import type { CloneHooks } from './clone-hooks.ts';
import { CloneSteps } from './clone-steps.ts';

export interface FilesSource {
  /** The directory. */
  path: string;
  /** Whether the file system of the pool shares blocks between files. */
  reflink: boolean;
}

/**
 * Leaves staging/data ready to commit.
 * @throws Fault ImageTooLarge, SourceChanged, HostileArchive for devices, sockets and pipes, NoSpace, or the reason of the abort; the caller discards the
 *   staging then
 */
export async function cloneFiles(
  { sizeBytes }: { sizeBytes: number },
  source: FilesSource,
  staging: Staging,
  hooks: CloneHooks,
): Promise<TransferReport> {
  const { signal } = hooks;
  const steps = new CloneSteps(hooks);
  try {
    const before = await steps.run('probe', 0, () => treeDigest(source.path, { signal }));
    const how = await steps.run('transfer', before.bytes, () =>
      copyTree({
        ...{ from: source.path, to: staging.dataPath, capBytes: sizeBytes, reflink: source.reflink, signal },
        onBytes: (bytes) => steps.advance(bytes, before.bytes),
      }),
    );
    const after = await steps.run('verify', before.bytes, () => treeDigest(staging.dataPath, { signal }));
    if (after.contentDigest !== before.contentDigest) {
      throw new Fault('SourceChanged', 'the files are others than before they were copied');
    }
    const { contentDigest, entries, bytes, allocatedBytes } = after;
    return {
      ...{ virtualSizeBytes: sizeBytes, allocatedBytes, format: 'clone', strategy: how, verified: 'digest' },
      ...{ contentDigest, files: { entries, bytes }, sourceBytes: bytes },
      ...{ fetchedBytes: how === 'reflink' ? 0 : bytes, steps: steps.rows },
    };
  } catch (error) {
    throw toFault(error, { signal });
  }
}
