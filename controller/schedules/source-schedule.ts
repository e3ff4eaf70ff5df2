// When a DataImportCron looks at its source, and what a look says. Pure. Everything that it has to remember stands in annotations of the object, by CDI's
// names where CDI has one, so a restart forgets nothing:
//
//   nextCronTime ─ comes ─► a look ─► version: sourceDesiredDigest, lastCronTime, nextCronTime by the schedule
//                               └──► fault:   lastCronTime, nextCronTime later and later; what is wanted stays
//
// Whoever wants a look at once sets nextCronTime to a time that has passed. Without a schedule nobody looks: something else sets sourceDesiredDigest.
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { annotations } from '../../domain/annotations.ts';
import { nextTime } from '../../domain/cron-schedule.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { Fault } from '../../domain/fault.ts';
import { digestOfVersion, isSameVersion, SourceVersion } from '../../domain/source-version.ts';
import { kubeTime } from '../dated-condition.ts';

/** What the last look found, as the annotation keeps it. */
const LookNote = Type.Object({
  version: Type.Optional(SourceVersion),
  digest: Type.Optional(Type.String()),
  /** Looks, or imports of what they found, that have failed since the last one that did not. */
  failures: Type.Optional(Type.Integer({ minimum: 0 })),
  fault: Type.Optional(Type.Object({ reason: Type.String(), message: Type.String() })),
});
export type LookNote = Static<typeof LookNote>;

export type LookOutcome = { version: SourceVersion } | { fault: Fault };

const firstPauseMs = 60_000;
const longestPauseMs = 3_600_000;

export function lookNoteOf(cron: DataImportCron): LookNote {
  try {
    const note: unknown = JSON.parse(cron.metadata.annotations?.[annotations.sourceLook] ?? '{}');
    return Value.Check(LookNote, note) ? note : {};
  } catch {
    // Anybody may have written anything there: then nothing is known.
    return {};
  }
}

/** When the next look is due: at once where it has never been planned, or cannot be read. @returns undefined where nobody looks */
export function dueTime({ metadata, spec }: DataImportCron): Date | undefined {
  if (spec.schedule === '') return undefined;
  const planned = new Date(metadata.annotations?.[annotations.nextCronTime] ?? 0);
  return Number.isNaN(planned.getTime()) ? new Date(0) : planned;
}

/**
 * The annotations after a look.
 * @param importFailed the version that is wanted was tried and could not be imported, and is tried once more if it is still the one
 */
export function afterLook(
  cron: DataImportCron,
  outcome: LookOutcome,
  { now, importFailed }: { now: Date; importFailed: boolean },
): Record<string, string> {
  const before = lookNoteOf(cron);
  const failures = (before.failures ?? 0) + 1;
  const found = 'version' in outcome ? noteOf(outcome.version, before) : undefined;
  const isRetry = importFailed && found !== undefined && found.digest === before.digest;
  const note =
    found === undefined ? { ...before, failures, ...faultOf(outcome) } : { ...found, ...(isRetry ? { failures } : {}) };
  const soonest = 'fault' in outcome || isRetry ? new Date(now.getTime() + pauseMs(failures)) : now;
  const isPassing = 'fault' in outcome && outcome.fault.retryable;
  const next = isPassing ? soonest : nextTime(cron.spec.schedule, soonest);
  return {
    [annotations.sourceLook]: JSON.stringify(note),
    [annotations.lastCronTime]: kubeTime(now),
    ...(next === undefined ? {} : { [annotations.nextCronTime]: kubeTime(next) }),
    ...(found?.digest === undefined ? {} : { [annotations.sourceDesiredDigest]: found.digest }),
  };
}

/** The digest stays where the content is the same, however it is told this time. */
function noteOf(version: SourceVersion, before: LookNote): LookNote {
  const isSame = before.version !== undefined && isSameVersion(before.version, version);
  return { version, digest: isSame && before.digest !== undefined ? before.digest : digestOfVersion(version) };
}

function faultOf(outcome: LookOutcome): Pick<LookNote, 'fault'> {
  if (!('fault' in outcome)) return {};
  const { code, row, detail } = outcome.fault;
  return { fault: { reason: code, message: `${row.sentence} ${detail}. ${row.nextStep}` } };
}

function pauseMs(failures: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 20));
}
