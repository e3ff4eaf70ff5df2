// From where an image is, to its bytes: one case for each kind of source.
import { contentServer, type ServedLocation } from './content-servers.ts';
import type { DecoderSurroundings } from './decode/decompressor.ts';
import type { ContentPlace } from './http/content-server.ts';
import { HttpSource } from './http/http-source.ts';
import type { ImageSource } from './image-source.ts';
import { openContainerDisk } from './registry/open-image.ts';
import type { RegistryLocation } from './registry/registry-store.ts';

/** Where to read, and with what right; the inputs of jobs/source-inputs.ts fit. */
export type SourceLocation =
  | (ServedLocation & Pick<ContentPlace, 'onePass'>)
  | ({ kind: 'registry' } & RegistryLocation);

/**
 * @param surroundings whose signal ends the source with all its connections and children
 * @throws Fault of the group source; then no connection is left
 */
export async function openSource(location: SourceLocation, surroundings: DecoderSurroundings): Promise<ImageSource> {
  const { config, signal } = surroundings;
  switch (location.kind) {
    case 'http':
    case 's3':
    case 'gcs':
      return HttpSource.open(await contentServer(location, config, signal), location, { limits: config, signal });
    case 'registry':
      return openContainerDisk(location, surroundings);
  }
}
