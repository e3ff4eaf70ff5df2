// What a volume says about itself: `volume.json` beside the data. It is the truth about the volume; a lost object store is rebuilt from it.
//
//   empty ──claimFence──► populating(fence n) ──commit──► complete
//     │                       │    ▲
//     │                       └────┘ claimFence(n+1): the former attempt's children are ended, its staging removed
//     └──markPlain──► plain ──claimFence──► populating    only while nothing lies in it and nobody got it for writing, else VolumeInUse
//
// A plain volume is of a claim that nobody fills; somebody may wish later that it is.
//
// Only complete and plain volumes are handed to a consumer.
import { type Static, Type } from 'typebox';

export const volumeRecordVersion = 1;

/** Server-made: `pvc-` and the uid of the claim. Host paths are built from nothing else. */
export type VolumeId = string & { readonly brand: 'VolumeId' };

const volumeIdPattern = /^pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function isVolumeId(text: string): text is VolumeId {
  return volumeIdPattern.test(text);
}

/** @param claimUid uid that the object store gave the claim. @throws RangeError where it is no uid */
export function volumeIdOf(claimUid: string): VolumeId {
  const id = `pvc-${claimUid}`;
  if (!isVolumeId(id)) throw new RangeError(`not a uid: ${claimUid}`);
  return id;
}

export const TransferStep = Type.Union([
  Type.Literal('probe'),
  Type.Literal('plan'),
  Type.Literal('transfer'),
  Type.Literal('convert'),
  Type.Literal('verify'),
  Type.Literal('resize'),
  Type.Literal('commit'),
]);
export type TransferStep = Static<typeof TransferStep>;

/** What an attempt that succeeded tells; kept in the record and copied to `status.longshore`. */
export const TransferReport = Type.Object({
  virtualSizeBytes: Type.Integer({ minimum: 0 }),
  allocatedBytes: Type.Integer({ minimum: 0 }),
  /** As found: raw, qcow2, raw.gz, qcow2.xz, blank, clone … */
  format: Type.String(),
  strategy: Type.Union([
    Type.Literal('stream'),
    Type.Literal('nbd'),
    Type.Literal('staged'),
    Type.Literal('shared'),
    Type.Literal('reflink'),
    Type.Literal('copy'),
    Type.Literal('blank'),
  ]),
  verified: Type.Union([Type.Literal('digest'), Type.Literal('length'), Type.Literal('reflink'), Type.Literal('none')]),
  /** `tree-sha256:hex`; absent for a reflink clone until somebody asks. */
  contentDigest: Type.Optional(Type.String()),
  /** `sha256:hex`, or `rangeRead:validator`. */
  sourceDigest: Type.Optional(Type.String()),
  /** Sentences about what may be wrong with the image, though it was brought as it is. */
  warnings: Type.Optional(Type.Array(Type.String())),
  /** Bytes of the source as stored there; absent where never told. */
  sourceBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Bytes that this attempt read from the source. */
  fetchedBytes: Type.Integer({ minimum: 0 }),
  /** Most that was planned to lie on the pool at once, the volume included. */
  peakBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  /** Of contentType archive: how many files, directories and links there are, and how long the files are together; absent for a disk. */
  files: Type.Optional(Type.Object({ entries: Type.Integer({ minimum: 0 }), bytes: Type.Integer({ minimum: 0 }) })),
  /** For the claim and its DataVolume: what the environment of a container image says. */
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  steps: Type.Array(Type.Object({ step: TransferStep, seconds: Type.Number(), bytes: Type.Integer() })),
});
export type TransferReport = Static<typeof TransferReport>;

export const VolumeOwner = Type.Object({ namespace: Type.String(), name: Type.String(), uid: Type.String() });
export type VolumeOwner = Static<typeof VolumeOwner>;

const VolumeState = Type.Union([
  Type.Literal('empty'),
  Type.Literal('populating'),
  Type.Literal('complete'),
  Type.Literal('plain'),
]);
type VolumeState = Static<typeof VolumeState>;

export const VolumeRecord = Type.Object({
  schemaVersion: Type.Literal(volumeRecordVersion),
  volumeId: Type.String(),
  /** The claim. */
  owner: VolumeOwner,
  mode: Type.Union([Type.Literal('Filesystem'), Type.Literal('Block')]),
  /** Of the device of a Block claim; 512 where it says nothing. */
  sectorBytes: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
  /** What the guest sees, and what the ledger promises; of a Block claim whole sectors. */
  sizeBytes: Type.Integer({ minimum: 0 }),
  /** Of a Filesystem claim that has a file system of its own: how long its file is, and what the ledger promises. */
  boundedBytes: Type.Optional(Type.Integer({ minimum: 1 })),
  /** Generation of the content that was asked; a job for a generation that is committed already returns the stored report. */
  generation: Type.Integer({ minimum: 0 }),
  state: VolumeState,
  /** Number of the attempt that owns the volume; grows only. 0: none yet. */
  fence: Type.Integer({ minimum: 0 }),
  createdAt: Type.String(),
  committedAt: Type.Optional(Type.String()),
  /** When a complete or plain volume was first handed out for writing: from then on the digests of its report are void, and it is not filled. */
  usedSince: Type.Optional(Type.String()),
  report: Type.Optional(TransferReport),
});
export type VolumeRecord = Static<typeof VolumeRecord> & { volumeId: VolumeId };

const moves: Readonly<Record<VolumeState, readonly VolumeState[]>> = {
  empty: ['populating', 'plain'],
  populating: ['populating', 'complete'],
  complete: [],
  plain: ['populating'],
};

/** Whether a consumer gets a volume in that state. */
export function isHandedOut(state: VolumeState): boolean {
  return state === 'complete' || state === 'plain';
}

/** Whether the content is a directory of files (contentType archive) and not a disk. */
export function holdsFiles({ report }: Pick<VolumeRecord, 'report'>): boolean {
  return report?.files !== undefined;
}

/** What the ledger promises to the volume. */
export function promisedBytes({ boundedBytes, sizeBytes }: Pick<VolumeRecord, 'boundedBytes' | 'sizeBytes'>): number {
  return boundedBytes ?? sizeBytes;
}

export function canMove(from: VolumeState, to: VolumeState): boolean {
  return moves[from].includes(to);
}
