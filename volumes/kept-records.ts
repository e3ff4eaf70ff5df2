// The records of an open pool, in memory as they are on disk: a change is durable before it is seen, and then told to one listener. The pool lets one
// change of a volume run at a time.
import { Fault } from '../domain/fault.ts';
import type { VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import type { PoolLayout } from './pool-layout.ts';
import { writeRecord } from './volume-records.ts';

/** Told after each durable change of a volume; without a record it is gone. */
export type ChangeListener = (id: VolumeId, record: VolumeRecord | undefined) => void;

export interface KeptRecordsOptions {
  layout: PoolLayout;
  records: Map<VolumeId, VolumeRecord>;
  /** Volumes whose records cannot be read, and why: they are kept as they are. */
  unreadable: ReadonlyMap<VolumeId, Fault>;
}

export class KeptRecords {
  readonly #layout: PoolLayout;
  readonly #records: Map<VolumeId, VolumeRecord>;
  readonly #unreadable: ReadonlyMap<VolumeId, Fault>;
  #listener: ChangeListener | undefined;

  constructor({ layout, records, unreadable }: KeptRecordsOptions) {
    this.#layout = layout;
    this.#records = records;
    this.#unreadable = unreadable;
  }

  onChange(listener: ChangeListener): void {
    this.#listener = listener;
  }

  get all(): ReadonlyMap<VolumeId, VolumeRecord> {
    return this.#records;
  }

  get(id: VolumeId): VolumeRecord | undefined {
    return this.#records.get(id);
  }

  /** @throws Fault NotFound, or why the record cannot be read */
  need(id: VolumeId): VolumeRecord {
    const record = this.#records.get(id);
    if (record !== undefined) return record;
    this.refuseUnread(id);
    throw new Fault('NotFound', `no volume ${id} in this pool`);
  }

  /** @throws Fault why the record cannot be read, where that is so */
  refuseUnread(id: VolumeId): void {
    const fault = this.#unreadable.get(id);
    if (fault !== undefined) throw fault;
  }

  /** Whether the volume is the attempt's to fill. */
  isOwned(id: VolumeId, attempt: number): boolean {
    const record = this.#records.get(id);
    return record?.state === 'populating' && record.fence === attempt;
  }

  /** @throws Fault NotFound, StaleAttempt */
  needOwned(id: VolumeId, attempt: number): VolumeRecord {
    const record = this.need(id);
    if (this.isOwned(id, attempt)) return record;
    throw new Fault('StaleAttempt', `${id} is ${record.state} with attempt ${record.fence}, not ${attempt}`);
  }

  async write(record: VolumeRecord): Promise<VolumeRecord> {
    await writeRecord(this.#layout, record);
    return this.written(record);
  }

  /** Takes a record that is on disk already. */
  written(record: VolumeRecord): VolumeRecord {
    this.#records.set(record.volumeId, record);
    this.#listener?.(record.volumeId, record);
    return record;
  }

  /** The volume is out of its place: nobody finds it any more. Whoever took it out tells when that is durable. */
  forget(id: VolumeId): void {
    this.#records.delete(id);
  }

  tellGone(id: VolumeId): void {
    this.#listener?.(id, undefined);
  }
}
