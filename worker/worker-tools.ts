// What every part of the worker works with, built once by start-worker.ts.
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Programs } from '../runtime/programs.ts';
import type { Pools } from '../volumes/pools.ts';
import type { QemuImg } from '../volumes/qemu-img.ts';
import type { SharedByPool } from './shared-by-pool.ts';

export interface WorkerTools {
  config: Config;
  logger: Logger;
  programs: Programs;
  pools: Pools;
  qemuImg: QemuImg;
  shared: SharedByPool;
}
