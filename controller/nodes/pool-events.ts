// What is told of the pools of a node as events: that one cannot be used, and why; that it can again. Pure.
import { faultFromRecord } from '../../domain/fault.ts';
import type { PoolState } from '../../jobs/channel-protocol.ts';
import type { EventText } from '../data-volumes/data-volume-phase.ts';

/** @param before as they were told before; one that was not known then counts as usable */
export function poolEvents(before: readonly PoolState[], now: readonly PoolState[]): EventText[] {
  return now.flatMap(({ name, directory, fault }): EventText[] => {
    const former = before.find((pool) => pool.name === name)?.fault;
    if (fault === undefined) {
      const message = `pool ${name} (${directory}) can be used again`;
      return former === undefined ? [] : [{ type: 'Normal', reason: 'PoolUsable', message }];
    }
    const { code, detail, row } = faultFromRecord(fault);
    if (former?.code === code && former.detail === fault.detail) return [];
    return [{ type: 'Warning', reason: code, message: `pool ${name}: ${row.sentence} ${detail}. ${row.nextStep}` }];
  });
}
