// What the controller remembers about filling a claim, kept as one annotation of the claim, so that each change is one durable write.
//
//   planned ──inputs asked──► running ──result──► succeeded
//      ▲                        │  └─upload came─► received ──result of its conversion──► succeeded
//      └───── next attempt ─────┴──────────────────────┴── permanent fault, cancel ──► failed
//
// The attempt's number grows only; the volume's own fence is at least as true: where it is higher, it is taken over.
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { type FaultRecord, isFaultCode } from '../../domain/fault.ts';
import { type Operation, operationPhases } from '../../domain/phases.ts';
import { TransferReport } from '../../domain/volume-record.ts';

const stateVersion = 1;

const Stage = Type.Union([
  Type.Literal('planned'),
  Type.Literal('running'),
  Type.Literal('received'),
  Type.Literal('succeeded'),
  Type.Literal('failed'),
]);

const KeptFault = Type.Object({
  code: Type.String(),
  detail: Type.String(),
  retryable: Type.Boolean(),
  nextStep: Type.String(),
});

const StateShape = Type.Object({
  schemaVersion: Type.Literal(stateVersion),
  attempt: Type.Integer({ minimum: 1 }),
  operation: Type.String(),
  stage: Stage,
  /** Failed attempts that count against the limit. */
  failures: Type.Integer({ minimum: 0 }),
  /** Bytes that the attempts before this one read from the source. */
  bytesFetched: Type.Integer({ minimum: 0 }),
  /** Those among them that do not count against the budget, because the machine ended the attempt. */
  forgivenBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  sourceBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  /** An attempt found that the source does not prove its parts to be of the same content. */
  onePass: Type.Optional(Type.Boolean()),
  /** Time before which the next try does not begin. */
  notBefore: Type.Optional(Type.String()),
  /** Why the last try failed. */
  fault: Type.Optional(KeptFault),
  /** What the next try waits for now. */
  obstacle: Type.Optional(KeptFault),
  committedAt: Type.Optional(Type.String()),
  report: Type.Optional(TransferReport),
});
type StateShape = Static<typeof StateShape>;

export interface AttemptState extends StateShape {
  operation: Operation;
  fault?: FaultRecord;
  obstacle?: FaultRecord;
}

const check = Compile(StateShape);

export function firstAttempt(operation: Operation): AttemptState {
  return { schemaVersion: stateVersion, attempt: 1, operation, stage: 'planned', failures: 0, bytesFetched: 0 };
}

export function isEnded(state: AttemptState): boolean {
  return state.stage === 'succeeded' || state.stage === 'failed';
}

function isOperation(text: string): text is Operation {
  return Object.hasOwn(operationPhases, text);
}

/** @returns undefined where the claim has none, or one that cannot be read: the volume's record then tells where things are */
export function parseAttemptState(annotation: string | undefined): AttemptState | undefined {
  if (annotation === undefined) return undefined;
  const value = parsedJson(annotation);
  if (!check.Check(value) || !isOperation(value.operation)) return undefined;
  const { fault, obstacle, ...rest } = value;
  const { operation } = value;
  const state: AttemptState = { ...rest, operation };
  if (isKnown(fault)) state.fault = fault;
  if (isKnown(obstacle)) state.obstacle = obstacle;
  return state;
}

function isKnown(fault: StateShape['fault']): fault is FaultRecord {
  return fault !== undefined && isFaultCode(fault.code);
}

/** Always the same text for the same state, whatever it was made from. */
export function formatAttemptState({ fault, obstacle, ...rest }: AttemptState): string {
  const members = Object.entries(rest).sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify({ ...Object.fromEntries(members), fault, obstacle });
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the caller treats it as absent.
    return undefined;
  }
}
