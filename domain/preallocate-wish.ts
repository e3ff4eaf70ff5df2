// How a volume gets its blocks, by the annotation longshore.dev/preallocate; without it `spec.preallocation` says none or falloc, as in CDI. Pure.
//
//   none     blocks are taken as they are written
//   falloc   all are taken at once, and read as zeros: no machine can run out of them
//   full     all are written: a first write costs what a later one does
import { annotations } from './annotations.ts';
import { type Cause, invalid } from './cause.ts';
import type { ObjectMeta } from './object-store.ts';

const modes = ['none', 'falloc', 'full'] as const;
export type Preallocation = (typeof modes)[number];

type Wishing = Pick<ObjectMeta, 'annotations'>;

/** @returns undefined where nothing that is known is wished */
export function preallocateWish({ annotations: told }: Wishing): Preallocation | undefined {
  return modes.find((mode) => mode === told?.[annotations.preallocate]);
}

export function checkPreallocateWish(metadata: Wishing): Cause[] {
  const wish = metadata.annotations?.[annotations.preallocate];
  if (wish === undefined || preallocateWish(metadata) !== undefined) return [];
  const message = `Unsupported value: ${JSON.stringify(wish)}: supported values: ${modes.map((mode) => `"${mode}"`).join(', ')}`;
  return [invalid(`metadata.annotations[${annotations.preallocate}]`, message)];
}
