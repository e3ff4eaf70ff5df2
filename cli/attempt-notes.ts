// What is told about a volume on its way besides its progress: attempts that failed, and what it waits for. Each is told once.
import type { DataVolume } from '../domain/data-volume.ts';
import type { ProgressDisplay } from './progress-display.ts';

/** Reasons of the condition Bound that tell of nothing to wait for. */
const ordinaryReasons: ReadonlySet<string> = new Set(['', 'Bound', 'Pending']);

export class AttemptNotes {
  readonly #display: ProgressDisplay;
  readonly #label: string;
  readonly #told = new Set<string>();

  constructor(display: ProgressDisplay, label: string) {
    this.#display = display;
    this.#label = label;
  }

  /** To be called with every state of the volume. */
  look(volume: DataVolume): void {
    const note = failedAttempt(volume) ?? whatItWaitsFor(volume);
    if (note === undefined || this.#told.has(note)) return;
    this.#told.add(note);
    this.#display.note(`${this.#label}: ${note}`);
  }
}

function failedAttempt({ status }: DataVolume): string | undefined {
  const { fault, nextAttemptAt } = status?.longshore ?? {};
  if (fault === undefined || nextAttemptAt === undefined || status?.phase === 'Failed') return undefined;
  return `${fault.code}: ${fault.detail}; next attempt at ${nextAttemptAt}`;
}

/** A fault counts only where a condition gives it as its reason now: that of a former attempt stays on the object while the next one runs. */
function whatItWaitsFor({ status }: DataVolume): string | undefined {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded' || status?.phase === 'UploadReady') return undefined;
  const unmet = (status?.conditions ?? []).filter((condition) => condition.status === 'False');
  const fault = status?.longshore?.fault;
  if (fault !== undefined) {
    const holds = unmet.some(({ reason }) => reason === fault.code);
    return holds ? `waits: ${fault.code}: ${fault.detail}. ${fault.nextStep}` : undefined;
  }
  const bound = unmet.find(({ type, reason }) => type === 'Bound' && !ordinaryReasons.has(reason ?? ''));
  return bound === undefined ? undefined : `waits: ${bound.reason}: ${bound.message ?? ''}`;
}
