// What is told once when an attempt has ended: one wide log line and the metrics. Nothing secret is in it: no URL, no header.
import type { Fault } from '../domain/fault.ts';
import type { TransferReport, VolumeRecord } from '../domain/volume-record.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import type { RunOperation } from './attempts.ts';
import type { AttemptKey } from './outbox.ts';

export interface EndedTransfer extends AttemptKey {
  operation: RunOperation;
  record: VolumeRecord | undefined;
  seconds: number;
  bytesFetched: number;
  end: { report: TransferReport } | { fault: Fault };
}

export function recordTransfer(logger: Logger, ended: EndedTransfer): void {
  const { operation, volumeId, attempt, seconds, bytesFetched, end } = ended;
  const fault = 'fault' in end ? end.fault : undefined;
  const outcome = fault === undefined ? 'ok' : fault.code === 'Cancelled' ? 'cancelled' : 'failed';
  metrics.count('longshore_attempts_total', { operation, outcome, code: fault?.code ?? '' });
  metrics.observe('longshore_attempt_seconds', { operation }, seconds);
  metrics.count('longshore_transfer_bytes_total', { operation }, bytesFetched);
  const owner = ended.record?.owner;
  const line = {
    ...{ operation, volumeId, attempt, outcome, bytesFetched },
    namespace: owner?.namespace,
    claim: owner?.name,
    generation: ended.record?.generation,
    sizeBytes: ended.record?.sizeBytes,
    seconds: Number(seconds.toFixed(3)),
    ...('report' in end ? facts(end.report) : { code: end.fault.code, detail: end.fault.detail }),
  };
  if (fault?.code === 'Internal') logger.error({ ...line, err: fault }, 'transfer finished');
  else logger.info(line, 'transfer finished');
}

function facts(report: TransferReport) {
  const { steps, ...rest } = report;
  return { ...rest, stepSeconds: Object.fromEntries(steps.map((step) => [step.step, step.seconds])) };
}
