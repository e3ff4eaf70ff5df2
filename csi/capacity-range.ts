// The size of a volume from the range that a request gives. Pure.
import { Fault } from '../domain/fault.ts';
import type { CapacityRange } from './requests.ts';

/** Of a volume whose request names no size. */
const defaultBytes = 1024 ** 3;

export interface SizeRange {
  leastBytes: number;
  mostBytes: number;
}

/** @throws Fault InvalidRequest where no size is in the range, VolumeTooLarge where no pool could ever have it */
export function sizeRangeOf(range: CapacityRange | null): SizeRange {
  const leastBytes = bytesOf('required_bytes', range?.requiredBytes ?? '0');
  const limit = bytesOf('limit_bytes', range?.limitBytes ?? '0');
  const mostBytes = limit === 0 ? Number.MAX_SAFE_INTEGER : limit;
  if (leastBytes > mostBytes) {
    throw new Fault('InvalidRequest', `required_bytes ${leastBytes} is more than limit_bytes ${mostBytes}`);
  }
  return { leastBytes, mostBytes };
}

/** The size to make: what is required to the byte; where nothing is, 1 GiB, or the limit if that is less. */
export function chooseSize({ leastBytes, mostBytes }: SizeRange): number {
  return leastBytes === 0 ? Math.min(defaultBytes, mostBytes) : leastBytes;
}

export function isInRange(sizeBytes: number, { leastBytes, mostBytes }: SizeRange): boolean {
  return sizeBytes >= leastBytes && sizeBytes <= mostBytes;
}

function bytesOf(field: string, text: string): number {
  const bytes = Number(text);
  if (!(bytes >= 0)) throw new Fault('InvalidRequest', `${field} is ${text}`);
  // Where the limit is beyond every volume it is none.
  if (field === 'limit_bytes') return Math.min(bytes, Number.MAX_SAFE_INTEGER);
  if (!Number.isSafeInteger(bytes)) throw new Fault('VolumeTooLarge', `${field} is ${text}`);
  return bytes;
}
