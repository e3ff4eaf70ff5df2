// Where things lie in a pool. Every path is built here, and only from server-made ids and whole numbers.
//
//   <pool>/pool.json                          identity
//   <pool>/ledger.sqlite                      lock and reservations; owner.json says which process holds it
//   <pool>/volumes/<volume id>/volume.json    what the volume says about itself
//   <pool>/volumes/<volume id>/data/disk.img  Filesystem claim: `data` is what a pod mounts; of contentType archive the files lie there
//   <pool>/volumes/<volume id>/fs.img         Filesystem claim with a file system of its own, which is mounted at `data`
//   <pool>/volumes/<volume id>/block.img      Block claim
//   <pool>/staging/<volume id>.<attempt>/     one attempt's private bytes: disk.img or data/, source, children.json, received.json, checkpoint.json
//   <pool>/images/<digest>.<n>.img            an image fetched once, for all that asked for it; removed at the next open
//   <pool>/staging/temporary-<random>/        a volume being made or deleted; removed at the next open
import { join } from 'node:path';
import { holdsFiles, isVolumeId, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';

export interface StagingName {
  volumeId: VolumeId;
  attempt: number;
}

const stagingPattern = /^(pvc-[0-9a-f-]{36})\.([1-9][0-9]{0,14})$/;
const temporaryPrefix = 'temporary-';
const innerPrefix = '.staging-';

export class PoolLayout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get identity(): string {
    return join(this.directory, 'pool.json');
  }
  get ledger(): string {
    return join(this.directory, 'ledger.sqlite');
  }
  get owner(): string {
    return join(this.directory, 'owner.json');
  }
  get volumes(): string {
    return join(this.directory, 'volumes');
  }
  get staging(): string {
    return join(this.directory, 'staging');
  }
  get images(): string {
    return join(this.directory, 'images');
  }
  /** @param digest hex digits. @param number tells images of the same content apart */
  image(digest: string, number: number): string {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new RangeError('not a digest');
    return join(this.images, `${digest}.${number}.img`);
  }
  volume(id: VolumeId): string {
    return join(this.volumes, checkedId(id));
  }
  record(id: VolumeId): string {
    return join(this.volume(id), 'volume.json');
  }
  data(id: VolumeId): string {
    return join(this.volume(id), 'data');
  }
  fileSystem(id: VolumeId): string {
    return join(this.volume(id), 'fs.img');
  }
  /** Where an attempt stages what is to be committed into a volume with a file system of its own: what is renamed stays in one. */
  inner(id: VolumeId, attempt: number): string {
    return join(this.data(id), innerName(attempt));
  }
  disk(id: VolumeId, mode: VolumeRecord['mode']): string {
    return mode === 'Block' ? join(this.volume(id), 'block.img') : join(this.data(id), 'disk.img');
  }
  /** What a complete volume is about: its disk, or the directory of its files. */
  content(record: VolumeRecord): string {
    return holdsFiles(record) ? this.data(record.volumeId) : this.disk(record.volumeId, record.mode);
  }
  attempt(id: VolumeId, attempt: number): string {
    if (!Number.isSafeInteger(attempt) || attempt < 1) throw new RangeError(`not an attempt: ${attempt}`);
    return join(this.staging, `${checkedId(id)}.${attempt}`);
  }
  temporary(random: string): string {
    return join(this.staging, temporaryPrefix + random);
  }
}

/** The attempt that a directory of staging/ belongs to; undefined for a foreign name. */
export function parseStagingName(name: string): StagingName | undefined {
  const [, volumeId, attempt] = stagingPattern.exec(name) ?? [];
  return volumeId !== undefined && isVolumeId(volumeId) ? { volumeId, attempt: Number(attempt) } : undefined;
}

/** Whether a file of images/ is one that this service made. */
export function isImageName(name: string): boolean {
  return /^[0-9a-f]{64}\.[0-9]+\.img$/.test(name);
}

/** Of the staging of an attempt in `data`. Only while the volume is populating; afterwards a user may have something of that name. */
export function innerName(attempt: number): string {
  return innerPrefix + attempt;
}

export function isTemporaryName(name: string): boolean {
  return name.startsWith(temporaryPrefix);
}

/** The type says it already; a path is worth asking twice. */
function checkedId(id: VolumeId): VolumeId {
  if (!isVolumeId(id)) throw new RangeError('not a volume id');
  return id;
}
