// What travels through a queue: ids and a generation, never credentials or bytes. Losing every job loses nothing.
// Checked again when a worker takes it, because Redis outlives deployments.
import { type Static, Type } from 'typebox';

export const jobVersion = 1;

export const JobOperation = Type.Union([Type.Literal('import'), Type.Literal('clone'), Type.Literal('convert')]);
export type JobOperation = Static<typeof JobOperation>;

export const JobPayload = Type.Object({
  schemaVersion: Type.Literal(jobVersion),
  operation: JobOperation,
  volumeId: Type.String({ pattern: '^pvc-[0-9a-f-]{36}$' }),
  attempt: Type.Integer({ minimum: 1 }),
  generation: Type.Integer({ minimum: 1 }),
});
export type JobPayload = Static<typeof JobPayload>;

/** One job an attempt: adding it again while it is there changes nothing. */
export function jobIdOf(payload: Pick<JobPayload, 'volumeId' | 'attempt'>): string {
  return `${payload.volumeId}.${payload.attempt}`;
}

/** Queue of one node. */
export function queueNameOf(node: string): string {
  return `longshore-${node}`;
}
