// Conditions with their times, which change only when what they date changes. Pure.
import type { Condition } from '../domain/kube-shapes.ts';

/** A condition without its times. */
export type Wanted = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Kubernetes' time format: whole seconds. */
export function kubeTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The wanted condition in the place of the former one of its type. */
export function dated(conditions: readonly Condition[], wanted: Wanted, now: Date): Condition {
  const before = conditions.find(({ type }) => type === wanted.type);
  const unchanged =
    before?.status === wanted.status && before.reason === wanted.reason && before.message === wanted.message;
  if (before !== undefined && unchanged) return before;
  const time = kubeTime(now);
  const lastTransitionTime = before?.status === wanted.status ? (before.lastTransitionTime ?? time) : time;
  return { ...wanted, lastHeartbeatTime: time, lastTransitionTime };
}
