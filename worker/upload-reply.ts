// What the upload server answers, in CDI's statuses and words (facts 2.5), so that virtctl and other clients read what they know. Our own code
// of the fault travels in the header `longshore-fault`.
import type { Fault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';

export const volumeHeader = 'longshore-volume';
export const faultHeader = 'longshore-fault';

export interface UploadReply {
  status: number;
  body: string;
}

/** CDI's fixed words for everything that does not fit. */
const capacityWords = 'effective image size is larger than the reported available storage';
const capacity: readonly FaultCode[] = ['ImageTooLarge', 'VolumeTooLarge', 'NoSpace', 'PoolFull'];
/** CDI answers 400 to every failure of its validation step. */
const refused: readonly FaultCode[] = [
  'NotADiskImage',
  'NotAnArchive',
  'CorruptArchive',
  'HostileArchive',
  'UnsupportedFormat',
  'CorruptImage',
  'HostileImage',
  'CorruptCompression',
  'DecoderMemory',
  'ChecksumMismatch',
  'SourceTruncated',
  'SourceTooLong',
  'UploadInterrupted',
  'MalformedRequest',
];
/** The request may be repeated as it is, or the claim does not wait for one. */
const later: readonly FaultCode[] = [
  'UploadBusy',
  'UploadNotReady',
  'NotAnUploadTarget',
  'StaleAttempt',
  'Interrupted',
  'Cancelled',
];

export function replyOf(fault: Fault): UploadReply {
  if (fault.code === 'Forbidden' || fault.code === 'Unauthenticated') return { status: 401, body: '' };
  if (fault.code === 'NotFound') return { status: 404, body: '404 page not found\n' };
  if (fault.code === 'UploadFinished') return { status: 409, body: `${fault.detail}\n` };
  if (later.includes(fault.code)) return { status: 503, body: `${fault.detail}\n` };
  const status = capacity.includes(fault.code) || refused.includes(fault.code) ? 400 : 500;
  const words = capacity.includes(fault.code) ? `${capacityWords}: ${fault.detail}` : fault.detail;
  return { status, body: `Saving stream failed: ${words}\n` };
}
