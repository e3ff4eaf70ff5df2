// The body of an upload as a source.
import type { BodyPieces } from './body-pieces.ts';
import { PeekedStream } from './peeked-stream.ts';

export class UploadSource extends PeekedStream {
  readonly totalBytes: number | undefined;

  constructor(pieces: BodyPieces, declaredBytes: number | undefined) {
    super(pieces);
    this.totalBytes = declaredBytes;
  }
}
