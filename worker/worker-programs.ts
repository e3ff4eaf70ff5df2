// The programs that a worker runs; each is found at its start.
import type { ProgramName } from '../runtime/programs.ts';

/** One of a list is enough, the first that is there. */
export const workerPrograms = [
  ...(['qemu-img', 'prlimit', 'setpriv', 'unshare', 'cp', 'rm', 'xz', 'zstd', 'losetup', 'blockdev'] as const),
  ['igzip', 'pigz', 'gzip'] as const,
  ['lbzip2', 'bzip2'] as const,
] satisfies (ProgramName | readonly ProgramName[])[];
