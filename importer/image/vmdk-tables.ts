// Looks through the grain tables of a VMDK before qemu-img does, as far as they are small and near each other: each grain must lie in the file, so that
// an image that was cut is refused and not filled up with zeros. What is left out is checked by the NBD view. Pure but for `readAt`.
import { type ImageFile, judgeOf, mostTableBytes, readWhole, sectorBytes } from './inspection.ts';

export interface GrainLayout {
  virtualSizeBytes: number;
  grainBytes: number;
  entriesPerTable: number;
  compressed: boolean;
}

const { corrupt } = judgeOf('vmdk');

/** Of a streamOptimized image each table lies alone between its grains. */
const mostReads = 64;
const longestReadBytes = 1_048_576;
const parallelReads = 4;
/** Entries that name no grain: none, and one of zeros. */
const lastEmpty = 1;
/** Before a packed grain: which one it is (8 bytes), and its length. */
const markerBytes = 12;

interface Table {
  offset: number;
  /** Which of the directory's entries names it. */
  index: number;
}

/** @throws Fault CorruptImage naming what lies beyond the end */
export async function checkGrainTables(directory: Buffer, layout: GrainLayout, file: ImageFile): Promise<void> {
  const tables = tablesOf(directory, layout, file);
  // The last ones where not all may be read: an image is cut at its end.
  const runs = runsOf(tables, layout.entriesPerTable * 4).slice(-mostReads);
  let lastGrain = 0;
  for (let first = 0; first < runs.length; first += parallelReads) {
    const ends = await Promise.all(runs.slice(first, first + parallelReads).map((run) => checkRun(run, layout, file)));
    lastGrain = Math.max(lastGrain, ...ends);
  }
  if (layout.compressed && lastGrain > 0) await checkPackedGrain(lastGrain, file);
}

function tablesOf(directory: Buffer, { entriesPerTable }: GrainLayout, { fileBytes }: ImageFile): Table[] {
  const tables: Table[] = [];
  for (let index = 0; index * 4 < directory.byteLength; index += 1) {
    const offset = directory.readUInt32LE(index * 4) * sectorBytes;
    if (offset === 0) continue;
    const end = offset + entriesPerTable * 4;
    if (end > fileBytes) throw corrupt(`a grain table ends at byte ${end}, the file at byte ${fileBytes}`);
    tables.push({ offset, index });
  }
  return tables.sort((one, other) => one.offset - other.offset);
}

/** Tables that lie one behind the other are read at once; as many of the last ones as are allowed. */
function runsOf(tables: readonly Table[], tableBytes: number): Table[][] {
  const runs: Table[][] = [];
  for (const table of tables.slice(-Math.floor(mostTableBytes / tableBytes))) {
    const run = runs.at(-1);
    const [first, last] = [run?.[0], run?.at(-1)];
    const isNext = last !== undefined && table.offset <= last.offset + tableBytes + sectorBytes;
    const fits = first !== undefined && table.offset + tableBytes - first.offset <= longestReadBytes;
    if (run !== undefined && isNext && fits) run.push(table);
    else runs.push([table]);
  }
  return runs;
}

/** @returns where the last of their grains begins */
async function checkRun(run: readonly Table[], layout: GrainLayout, file: ImageFile): Promise<number> {
  const start = run[0]?.offset ?? 0;
  const tableBytes = layout.entriesPerTable * 4;
  const bytes = await readWhole(file, start, (run.at(-1)?.offset ?? start) + tableBytes - start, 'vmdk: a grain table');
  return Math.max(
    ...run.map(({ offset, index }) =>
      checkTable(bytes.subarray(offset - start, offset - start + tableBytes), index, layout, file),
    ),
  );
}

function checkTable(table: Buffer, index: number, layout: GrainLayout, { fileBytes }: ImageFile): number {
  const { virtualSizeBytes, grainBytes, entriesPerTable, compressed } = layout;
  let lastGrain = 0;
  for (let entry = 0; entry < entriesPerTable; entry += 1) {
    const sector = table.readUInt32LE(entry * 4);
    const guest = (index * entriesPerTable + entry) * grainBytes;
    if (sector <= lastEmpty || guest >= virtualSizeBytes) continue;
    const offset = sector * sectorBytes;
    const end = offset + (compressed ? markerBytes : Math.min(grainBytes, virtualSizeBytes - guest));
    if (end > fileBytes) throw corrupt(`a grain ends at byte ${end}, the file at byte ${fileBytes}`);
    lastGrain = Math.max(lastGrain, offset);
  }
  return lastGrain;
}

async function checkPackedGrain(offset: number, file: ImageFile): Promise<void> {
  const marker = await readWhole(file, offset, markerBytes, 'vmdk: a packed grain');
  const end = offset + markerBytes + marker.readUInt32LE(8);
  if (end > file.fileBytes) throw corrupt(`a grain ends at byte ${end}, the file at byte ${file.fileBytes}`);
}
