// What a transfer is given besides its inputs: how to stop it, whom to tell, and the machine's programs. Built once by the worker.
import type { TransferStep } from '../domain/volume-record.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Programs } from '../runtime/programs.ts';
import type { QemuImg } from '../volumes/qemu-img.ts';
import type { SharedImages } from './shared-images.ts';

/** Where an attempt stands. `bytesDone` counts towards `bytesTotal`; `bytesFetched` is what the source really had to send. */
export interface TransferProgress {
  step: TransferStep;
  bytesDone: number;
  bytesTotal?: number;
  bytesFetched: number;
  /** From the plan on: most that may lie on the pool at once, the volume included. */
  peakBytes?: number;
}

export interface TransferHooks {
  /** Aborting ends children and connections before the transfer rejects with the reason. */
  signal: AbortSignal;
  /** Told a few times a second, at the start of each step and once at the end, also of a failed one. */
  onProgress(progress: TransferProgress): void;
  logger: Logger;
  config: Config;
  programs: Programs;
  qemuImg: QemuImg;
  /** Where imports of the same content find each other; without it each brings its own. */
  shared?: SharedImages;
}
