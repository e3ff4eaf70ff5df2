// What version a source has now, told by its first answer: nothing of the content is kept. What a schedule looks at.
import { Fault, toFault } from '../domain/fault.ts';
import { isTold, type SourceVersion } from '../domain/source-version.ts';
import type { DecoderSurroundings } from './decode/decompressor.ts';
import type { ImageSource } from './image-source.ts';
import { openSource, type SourceLocation } from './open-source.ts';
import { versionOfImage } from './registry/open-image.ts';

/** @throws Fault of the group source, UnsupportedSource where it tells no version, or the reason of the abort; leaves no connection */
export async function versionOfSource(
  location: SourceLocation,
  surroundings: DecoderSurroundings,
): Promise<SourceVersion> {
  const { signal } = surroundings;
  try {
    if (location.kind === 'registry') return await versionOfImage(location, surroundings);
    const source = await openSource(location, surroundings);
    try {
      const version = source.version ?? versionOfValidator(source);
      if (isTold(version)) return version;
      const missing = 'neither a digest, nor an ETag, nor Last-Modified, so nobody can see whether it changes';
      throw new Fault('UnsupportedSource', `the source tells ${missing}`);
    } finally {
      await source.close();
    }
  } catch (error) {
    throw toFault(error, { signal });
  }
}

function versionOfValidator({ validator, totalBytes }: ImageSource): SourceVersion {
  const length = totalBytes === undefined ? {} : { bytes: totalBytes };
  if (validator === undefined) return length;
  if (/^sha\d+:/.test(validator)) return { digest: validator, ...length };
  return { ...(/^(W\/)?"/.test(validator) ? { etag: validator } : { lastModified: validator }), ...length };
}
