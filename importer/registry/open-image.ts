// From the URL of a container image to its disk.
import type { SourceVersion } from '../../domain/source-version.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { ImageSource } from '../image-source.ts';
import { ArchiveStore, archiveScheme } from './archive-store.ts';
import { ContainerDiskSource } from './container-disk-source.ts';
import type { ImageStore } from './image-store.ts';
import { type RegistryLocation, RegistryStore } from './registry-store.ts';
import { resolveImage, rootOf } from './resolve-image.ts';

/**
 * @param surroundings whose signal ends the source with all its connections and children
 * @throws Fault of the groups source and image; then nothing is left open
 */
export async function openContainerDisk(
  location: RegistryLocation,
  surroundings: DecoderSurroundings,
): Promise<ImageSource> {
  const store = await openStore(location, surroundings);
  try {
    const image = await resolveImage(store, location.architecture);
    return await ContainerDiskSource.open(store, image, surroundings);
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The digest of what the URL names now: nothing of the image itself is read. @throws Fault of the groups source and image */
export async function versionOfImage(
  location: RegistryLocation,
  surroundings: DecoderSurroundings,
): Promise<SourceVersion> {
  const store = await openStore(location, surroundings);
  try {
    return { digest: (await rootOf(store)).digest };
  } finally {
    await store.close();
  }
}

async function openStore(location: RegistryLocation, surroundings: DecoderSurroundings): Promise<ImageStore> {
  if (location.url.startsWith(archiveScheme)) return ArchiveStore.open(location.url, surroundings);
  return new RegistryStore(location, surroundings);
}
