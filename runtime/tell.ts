// Tells something to whoever started this process, on stdout (1) or stderr (2). Synchronous, so that it is out before the process ends.
import { writeSync } from 'node:fs';

/** Never throws: a reader that went away and a full disk are no reason to fail. */
export function tell(descriptor: 1 | 2, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  try {
    for (let written = 0; written < bytes.byteLength; ) written += writeSync(descriptor, bytes, written);
  } catch {
    // Nobody is there to be told, also not that.
  }
}
