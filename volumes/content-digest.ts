// The contentDigest of a disk that lies on a file system. It reads only what has data, so it costs by the data and not by the size, past the page
// cache, and reads and hashes outside of the event loop.
import { toFault } from '../domain/fault.ts';
import { DataHasher } from './data-hasher.ts';

export interface FileDigest {
  contentDigest: string;
  sizeBytes: number;
  allocatedBytes: number;
}

/** @throws Fault, or the reason of the abort; changes nothing */
export async function contentDigestOfFile(path: string, { signal }: { signal: AbortSignal }): Promise<FileDigest> {
  try {
    const hasher = await DataHasher.open(path, signal);
    try {
      const size = await hasher.size();
      await hasher.advance(size.sizeBytes);
      return { contentDigest: await hasher.finish(size.sizeBytes), ...size };
    } finally {
      await hasher.close();
    }
  } catch (error) {
    throw toFault(error, { signal });
  }
}

export { sha256OfFile } from './file-sha256.ts';
