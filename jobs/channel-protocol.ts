// The one channel between controller and worker besides the queue: JSON-RPC 2.0 over mTLS. The worker dials; the certificate names its node.
// The controller asks for volumes, fences, uploads and cancels; the worker asks for inputs and tells progress and results.
// Credentials pass here only, on request, to the node that holds the attempt, and stay in memory.
import { type Static, type TSchema, Type } from 'typebox';
import { SourceVersion } from '../domain/source-version.ts';
import { TransferReport, TransferStep, VolumeOwner, VolumeRecord } from '../domain/volume-record.ts';
import { AttemptInputs, ContentType, WrittenBlocks } from './attempt-inputs.ts';
import { SourceInputs } from './source-inputs.ts';

export const channelVersion = 2;

const Attempt = { volumeId: Type.String(), attempt: Type.Integer({ minimum: 1 }) };
const Empty = Type.Object({});

export const FaultShape = Type.Object({
  code: Type.String(),
  detail: Type.String(),
  retryable: Type.Boolean(),
  nextStep: Type.String(),
  /** Pause that who failed asked for. */
  retryAfterSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
});

export const PoolUsage = Type.Object({
  /** Free on the file system, and what the pool's own files take of it. */
  capacityBytes: Type.Integer(),
  reservedBytes: Type.Integer(),
  /** What can still be promised. */
  leftBytes: Type.Integer(),
  usedBytes: Type.Integer(),
  freeBytes: Type.Integer(),
  enforcement: Type.String(),
  reflink: Type.Boolean(),
  /** Largest volume the pool can hold. */
  largestVolumeBytes: Type.Integer(),
});
export type PoolUsage = Static<typeof PoolUsage>;

/** One pool of the node, as it was looked at last. */
export const PoolState = Type.Object({
  name: Type.String(),
  /** Where it lies on its node; the paths of disks are told from it. */
  directory: Type.String(),
  /** Absent while it was never open. */
  usage: Type.Optional(PoolUsage),
  /** Why nothing is changed in it now. */
  fault: Type.Optional(FaultShape),
});
export type PoolState = Static<typeof PoolState>;

/** A volume and the name of the pool that holds it. */
const HeldVolume = Type.Object({ ...VolumeRecord.properties, pool: Type.String() });

export const Inventory = Type.Object({
  volumes: Type.Array(HeldVolume),
  /** Volumes that are there, but whose records cannot be read. */
  unreadable: Type.Optional(Type.Array(Type.Object({ volumeId: Type.String(), fault: FaultShape }))),
  /** Attempts that run in this worker now. */
  running: Type.Array(Type.Object(Attempt)),
  /** Uploads that wait for their bytes now. */
  waiting: Type.Array(Type.Object(Attempt)),
  /** Uploads whose bytes are durable and that still have to be converted. */
  received: Type.Array(Type.Object({ ...Attempt, bytes: Type.Integer() })),
  /** Attempts that have ended and whose result the controller has not answered yet: it comes over this connection. */
  undelivered: Type.Optional(Type.Array(Type.Object(Attempt))),
  pools: Type.Array(PoolState),
});
export type Inventory = Static<typeof Inventory>;

export const Finding = Type.Object({
  pool: Type.String(),
  kind: Type.String(),
  path: Type.String(),
  bytes: Type.Integer(),
  ageSeconds: Type.Integer(),
  detail: Type.String(),
});

export const Progress = Type.Object({
  ...Attempt,
  step: TransferStep,
  bytesDone: Type.Integer(),
  bytesTotal: Type.Optional(Type.Integer()),
  bytesFetched: Type.Integer(),
  peakBytes: Type.Optional(Type.Integer()),
  bytesPerSecond: Type.Optional(Type.Integer()),
  etaSeconds: Type.Optional(Type.Integer()),
});
export type Progress = Static<typeof Progress>;

export const Outcome = Type.Union([
  Type.Object({ ok: Type.Literal(true), report: TransferReport }),
  Type.Object({ ok: Type.Literal(false), fault: FaultShape, bytesFetched: Type.Integer() }),
]);
export type Outcome = Static<typeof Outcome>;

/** What a source is, as far as its beginning tells. */
export const SourceFacts = Type.Object({
  /** Such as qcow2 or raw.gz. */
  format: Type.String(),
  /** What a guest would see; absent where only the end of the content tells. */
  virtualSizeBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Bytes as served; absent where the server does not tell. */
  sourceBytes: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type SourceFacts = Static<typeof SourceFacts>;

interface Call {
  /** What it does, for docs/generated/jobs.md. */
  about: string;
  params: TSchema;
  result: TSchema;
}

/** Asked by the controller, answered by the worker. Every call is idempotent. Errors carry a FaultShape as data. */
export const workerCalls = {
  inventory: {
    about: 'Everything the worker knows; asked after each connect.',
    params: Empty,
    result: Inventory,
  },
  'volume.reserve': {
    about:
      'Makes an `empty` volume, or returns the one that is there. Faults: PoolFull, VolumeTooLarge, NoPoolHere, PoolMissing.',
    params: Type.Object({
      volumeId: Type.String(),
      owner: VolumeOwner,
      mode: Type.Union([Type.Literal('Filesystem'), Type.Literal('Block')]),
      sizeBytes: Type.Integer({ minimum: 1 }),
      generation: Type.Integer({ minimum: 1 }),
      /** Of the device of a Block volume. */
      sectorBytes: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
      /** Where it is to be made; else where most room is. */
      pool: Type.Optional(Type.String()),
    }),
    result: HeldVolume,
  },
  'volume.expand': {
    about:
      'Makes the volume larger, also while it is used; one that is as large already is returned as it is. Faults: PoolFull, VolumeTooLarge, VolumeNotFilled.',
    params: Type.Object({ volumeId: Type.String(), sizeBytes: Type.Integer({ minimum: 1 }) }),
    result: HeldVolume,
  },
  'volume.claimFence': {
    about:
      'Gives the volume to this attempt and ends the former one. A volume that is complete for the generation is returned as it is. Faults: StaleAttempt, VolumeInUse.',
    params: Type.Object({ ...Attempt, generation: Type.Integer({ minimum: 1 }) }),
    result: HeldVolume,
  },
  'volume.markPlain': {
    about: 'Says that nobody fills the volume: its files are the user’s own.',
    params: Type.Object({ volumeId: Type.String() }),
    result: HeldVolume,
  },
  'volume.delete': {
    about:
      'Ends its attempt and removes it. A volume that is not there is no error, unless a pool that may hold it is not open (PoolMissing).',
    params: Type.Object({ volumeId: Type.String() }),
    result: Empty,
  },
  'volume.digest': {
    about: 'Digests of what is in the volume now; the plain sha256 where it is asked.',
    params: Type.Object({ volumeId: Type.String(), sha256: Type.Boolean() }),
    result: Type.Object({ contentDigest: Type.String(), sha256: Type.Optional(Type.String()), path: Type.String() }),
  },
  'upload.open': {
    about: 'Waits for one upload into the volume, which this attempt must own.',
    params: Type.Object({
      ...Attempt,
      sizeBytes: Type.Integer({ minimum: 1 }),
      preallocation: Type.Boolean(),
      writtenBlocks: WrittenBlocks,
      checksum: Type.Optional(Type.String()),
      contentType: ContentType,
    }),
    result: Empty,
  },
  'attempt.cancel': {
    about:
      'Ends the attempt: children killed, staging removed; then its result (Cancelled) comes. An attempt that does not run is no error.',
    params: Type.Object({ ...Attempt, reason: Type.String() }),
    result: Empty,
  },
  'source.probe': {
    about: 'What a source is, from its first bytes: nothing is kept. Faults are those of an import.',
    params: Type.Object({ source: SourceInputs }),
    result: SourceFacts,
  },
  'source.version': {
    about:
      'What version a source has now. Faults are those of an import, and UnsupportedSource where nothing tells one version from the next.',
    params: Type.Object({ source: SourceInputs }),
    result: SourceVersion,
  },
  doctor: {
    about: 'What lies on the pools without a record that owns it, and which pools could not be looked at.',
    params: Empty,
    result: Type.Object({
      findings: Type.Array(Finding),
      faults: Type.Array(Type.Object({ pool: Type.String(), fault: FaultShape })),
    }),
  },
  'doctor.remove': {
    about: 'Removes what lies at that path of the pool without an owner. Faults: NotFound, VolumeInUse.',
    params: Type.Object({ pool: Type.String(), path: Type.String() }),
    result: Empty,
  },
} as const satisfies Record<string, Call>;

/** Asked by the worker, answered by the controller. */
export const controllerCalls = {
  hello: {
    about: 'The first call of a connection: who dials, which protocol it speaks, where it takes uploads.',
    params: Type.Object({ channelVersion: Type.Integer(), node: Type.String(), uploadAddress: Type.String() }),
    result: Empty,
  },
  'attempt.inputs': {
    about:
      'What the attempt needs: source, credentials, size. Only for an attempt that the controller knows to be on this node; else StaleAttempt.',
    params: Type.Object(Attempt),
    result: AttemptInputs,
  },
  'attempt.result': {
    about: 'How the attempt ended. Repeated until it is answered.',
    params: Type.Object({ ...Attempt, outcome: Outcome }),
    result: Empty,
  },
  'upload.received': {
    about:
      'The bytes of an upload are durable; conversion is to be scheduled as job `convert` of the same attempt. Repeated until it is answered.',
    params: Type.Object({ ...Attempt, bytes: Type.Integer() }),
    result: Empty,
  },
  'volume.changed': {
    about:
      'On a cluster: Kubernetes had this volume made or changed through the CSI driver of the node. What is not told comes with the next inventory.',
    params: Type.Object({ volume: HeldVolume }),
    result: Empty,
  },
  'volume.gone': {
    about: 'On a cluster: Kubernetes had this volume deleted through the CSI driver of the node.',
    params: Type.Object({ volumeId: Type.String() }),
    result: Empty,
  },
  'volume.refused': {
    about: 'On a cluster: the node has no room for this volume, which Kubernetes wanted there; it is planned anew.',
    params: Type.Object({ volumeId: Type.String(), fault: FaultShape }),
    result: Empty,
  },
  'volume.expandWhereItIs': {
    about:
      'On a cluster: Kubernetes asked the CSI driver of one node to make a volume of another larger, as its claim asks. Faults: NotFound, InvalidRequest, and those of volume.expand.',
    params: Type.Object({
      volumeId: Type.String(),
      sizeBytes: Type.Integer({ minimum: 1 }),
      /** It may not be larger than that. */
      mostBytes: Type.Optional(Type.Integer({ minimum: 1 })),
      /** As who asks takes it to be. */
      mode: Type.Optional(VolumeRecord.properties.mode),
    }),
    result: Type.Object({ sizeBytes: Type.Integer() }),
  },
  'pools.changed': {
    about: 'How the pools of the node are now: their room, or what is amiss with them. Told when it changed.',
    params: Type.Object({ pools: Type.Array(PoolState) }),
    result: Empty,
  },
  'claim.pool': {
    about:
      'On a cluster: which pool of its node the claim of a volume wishes for, by itself or for the sake of its source. Faults: NotFound.',
    params: Type.Object({ owner: VolumeOwner }),
    result: Type.Object({ pool: Type.Optional(Type.String()) }),
  },
  'claim.isFilled': {
    about:
      'Whether somebody fills the claim of this volume: a DataVolume, an annotation of CDI or a data source. Faults: NotFound where the claim is not there.',
    params: Type.Object({ owner: VolumeOwner }),
    result: Type.Object({ filled: Type.Boolean() }),
  },
  'upload.failed': {
    about:
      'An upload left nothing behind; the slot of the attempt waits for the next one. Repeated until it is answered.',
    params: Type.Object({ ...Attempt, fault: FaultShape }),
    result: Empty,
  },
} as const satisfies Record<string, Call>;

/** Told by the worker, never answered; about two a second and attempt at most. */
export const progressNotification = 'attempt.progress';

export type WorkerCalls = typeof workerCalls;
export type ControllerCalls = typeof controllerCalls;
export type ParamsOf<C extends Call> = Static<C['params']>;
export type ResultOf<C extends Call> = Static<C['result']>;
