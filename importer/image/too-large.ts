// The one sentence for an image that does not fit, with the four numbers that a user needs.
import { Fault } from '../../domain/fault.ts';

const alignmentBytes = 1_048_576;

/**
 * @param neededBytes what the image needs; undefined where it was cut off at the size of the volume
 * @param requestedBytes what was asked for; all of it is usable, since our volumes have no overhead
 */
export function imageTooLarge(neededBytes: number | undefined, requestedBytes: number): Fault {
  const usableBytes = requestedBytes;
  if (neededBytes === undefined) {
    return new Fault(
      'ImageTooLarge',
      `the image needs more than ${usableBytes} bytes; requested: ${requestedBytes}, usable: ${usableBytes}; how large it is, only its end would tell`,
      { facts: { requestedBytes, usableBytes } },
    );
  }
  const smallestBytes = Math.ceil(neededBytes / alignmentBytes) * alignmentBytes;
  return new Fault(
    'ImageTooLarge',
    `the image needs ${neededBytes} bytes; requested: ${requestedBytes}, usable: ${usableBytes}, smallest request that works: ${smallestBytes}`,
    { facts: { neededBytes, requestedBytes, usableBytes, smallestBytes } },
  );
}
