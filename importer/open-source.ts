// From where an image is, to its bytes: one case for each kind of source.
import type { DecoderSurroundings } from './decode/decompressor.ts';
import { HttpConnection, type HttpLocation } from './http/http-connection.ts';
import { type ContentPlace, HttpSource } from './http/http-source.ts';
import type { ImageSource } from './image-source.ts';

/** Where to read, and with what right; the inputs of jobs/source-inputs.ts fit. */
export type SourceLocation = { kind: 'http' } & HttpLocation & Pick<ContentPlace, 'onePass'>;

/**
 * @param surroundings whose signal ends the source with all its connections and children
 * @throws Fault of the group source; then no connection is left
 */
export function openSource(location: SourceLocation, surroundings: DecoderSurroundings): Promise<ImageSource> {
  const { config, signal } = surroundings;
  switch (location.kind) {
    case 'http':
      return HttpSource.open(new HttpConnection(location, config, signal), location, signal);
  }
}
