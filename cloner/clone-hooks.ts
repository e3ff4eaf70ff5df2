// What a clone is given besides its inputs: how to stop it, and whom to tell. Those of an import fit.
import type { TransferStep } from '../domain/volume-record.ts';
import type { Logger } from '../runtime/logger.ts';

export interface CloneHooks {
  signal: AbortSignal;
  onProgress(progress: { step: TransferStep; bytesDone: number; bytesTotal?: number; bytesFetched: number }): void;
  logger: Logger;
}
