// Pools of one node that lie on the same file system share its free room: what one has promised and not yet written, the others cannot promise again.
import type { PoolLedger } from './pool-ledger.ts';

export class SharedRoom {
  readonly #byDevice = new Map<number, Set<PoolLedger>>();

  /** @param device st_dev of the directory of the pool */
  join(device: number, ledger: PoolLedger): void {
    const members = this.#byDevice.get(device) ?? new Set();
    members.add(ledger);
    this.#byDevice.set(device, members);
    ledger.beside = () => {
      let bytes = 0;
      for (const other of members) if (other !== ledger) bytes += other.unwrittenBytes;
      return bytes;
    };
  }
}
