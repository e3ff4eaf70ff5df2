// Devices that were taken away while somebody had them open. Nobody finds them any more, and their files have no name; but what is written to them takes room of
// the pool until the last one closes them, so it stays promised until then.
import { isSameDevice, type LoopDevice, type LoopDevices } from './loop-devices.ts';
import type { PoolLedger } from './pool-ledger.ts';

export interface ClosingDevicesOptions {
  loops: Pick<LoopDevices, 'list'> | undefined;
  ledger: Pick<PoolLedger, 'hold' | 'release'>;
}

export class ClosingDevices {
  readonly #loops: Pick<LoopDevices, 'list'> | undefined;
  readonly #ledger: Pick<PoolLedger, 'hold' | 'release'>;
  readonly #open = new Map<string, LoopDevice>();

  constructor({ loops, ledger }: ClosingDevicesOptions) {
    this.#loops = loops;
    this.#ledger = ledger;
  }

  add(device: LoopDevice, sizeBytes: number): void {
    const key = keyOf(device);
    this.#open.set(key, device);
    this.#ledger.hold(key, sizeBytes);
  }

  /** Gives back the room of those that were closed meanwhile. */
  async look(): Promise<void> {
    if (this.#open.size === 0 || this.#loops === undefined) return;
    const there = await this.#loops.list();
    for (const [key, device] of this.#open) {
      if (there.some((other) => isSameDevice(other, device))) continue;
      this.#open.delete(key);
      this.#ledger.release(key);
    }
  }
}

function keyOf({ path, inode, fileSystem }: LoopDevice): string {
  return `closing:${path}:${fileSystem}:${inode}`;
}
