// Looks at a source without importing it: what it is, and how large a volume it wants. Reads what a probe reads, and keeps nothing.
import { toFault } from '../domain/fault.ts';
import { probeImage } from './image/probe-image.ts';
import { openSource, type SourceLocation } from './open-source.ts';
import { formatNameOf } from './plan.ts';
import type { TransferHooks } from './transfer-hooks.ts';

export interface SourceFacts {
  format: string;
  virtualSizeBytes?: number;
  sourceBytes?: number;
}

/** @throws Fault of the groups source and image, or the reason of the abort; leaves no connection and no child */
export async function probeSource(
  location: SourceLocation,
  hooks: Pick<TransferHooks, 'config' | 'programs' | 'signal'>,
): Promise<SourceFacts> {
  const { signal } = hooks;
  try {
    const source = await openSource(location, hooks);
    try {
      const probe = await probeImage(source, Number.MAX_SAFE_INTEGER, hooks);
      return {
        format: formatNameOf(probe),
        ...(probe.virtualSizeBytes === undefined ? {} : { virtualSizeBytes: probe.virtualSizeBytes }),
        ...(source.totalBytes === undefined ? {} : { sourceBytes: source.totalBytes }),
      };
    } finally {
      await source.close();
    }
  } catch (error) {
    throw toFault(error, { signal });
  }
}
