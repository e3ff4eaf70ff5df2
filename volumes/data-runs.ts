// Where a block holds data: what lies between is left out of a sparse file.
import { isZero } from './block-hasher.ts';

/** Zeros are left out in pieces of this size. */
const pieceBytes = 65_536;

/** Stretches of a block that hold data, in whole pieces. */
export function dataRuns(block: Buffer): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = [];
  for (let start = 0; start < block.byteLength; start += pieceBytes) {
    const end = start + pieceBytes;
    if (isZero(block.subarray(start, end))) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.end === start) last.end = end;
    else runs.push({ start, end });
  }
  return runs;
}
