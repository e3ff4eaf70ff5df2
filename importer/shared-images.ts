// Imports of the same content that run at once in this worker: one leads and brings it, the others wait and take what it brought. An import gets here only
// after it has opened the source with its own credentials and read its beginning; without that nothing is shared with it.
//
//   turn(key) ──► lead   nobody brings it: bring it, and publish the disk when it is verified
//             ──► wait   somebody brings it: until it is published, or the leader has ended without
//             ──► take   it is there; for a while after the last one took it
import { toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import type { Logger } from '../runtime/logger.ts';
import type { KeptImage, KeptImages } from '../volumes/kept-images.ts';
import type { TransferProgress } from './transfer-hooks.ts';

/** A disk that was brought and verified, and what its leader's report says of it. */
export interface SharedImage extends Pick<TransferReport, 'format' | 'warnings' | 'sourceDigest'> {
  kept: KeptImage;
  /** Of the kept disk; it ends with zeros from `contentBytes` on. */
  sizeBytes: number;
  contentBytes: number;
  contentDigest: string;
  /** `algorithm:hex` of the bytes of the source, as far as they were made. */
  sourceDigests: readonly string[];
  /** The bytes were proved by a digest of the source's own. */
  isProven: boolean;
}

/**
 * How a leader ended: with an image; `gone`, for a reason of its own, such as a cancel; `failed`, as others may, too; or `unshared`: it has its disk, and
 * could not keep it for others.
 */
export type LeadEnd = SharedImage | 'gone' | 'failed' | 'unshared';

export type Turn = { role: 'lead'; lead: Lead } | { role: 'wait'; lead: Lead } | { role: 'take'; image: SharedImage };

/** More are not kept: the one that was taken longest ago is dropped. */
const mostImages = 16;

export class Lead {
  readonly #ended = Promise.withResolvers<LeadEnd>();
  readonly #listeners = new Set<(progress: TransferProgress) => void>();

  /** Told to those that wait. */
  tell(progress: TransferProgress): void {
    for (const listener of this.#listeners) listener(progress);
  }

  end(how: LeadEnd): void {
    this.#ended.resolve(how);
  }

  /** @throws the signal's reason; the leader goes on then */
  async outcome(signal: AbortSignal, onProgress: (progress: TransferProgress) => void): Promise<LeadEnd> {
    const gone = Promise.withResolvers<never>();
    const onAbort = () => gone.reject(toFault(signal.reason, { signal }));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#listeners.add(onProgress);
    try {
      if (signal.aborted) onAbort();
      return await Promise.race([this.#ended.promise, gone.promise]);
    } finally {
      this.#listeners.delete(onProgress);
      signal.removeEventListener('abort', onAbort);
    }
  }
}

export interface SharedImagesOptions {
  /** Those of the pool that the imports fill. */
  images: KeptImages;
  /** How long an image is kept after it was taken last. */
  keepMs: number;
  logger: Pick<Logger, 'warn'>;
}

export class SharedImages {
  readonly #options: SharedImagesOptions;
  readonly #leads = new Map<string, Lead>();
  /** The one that was taken last is the last. */
  readonly #images = new Map<string, SharedImage>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: SharedImagesOptions) {
    this.#options = options;
  }

  /** Who is to lead owes `endLead`. */
  turn(key: string): Turn {
    const image = this.#images.get(key);
    if (image !== undefined && !image.kept.isDropped) {
      this.#keep(key, image);
      return { role: 'take', image };
    }
    const there = this.#leads.get(key);
    if (there !== undefined) return { role: 'wait', lead: there };
    const lead = new Lead();
    this.#leads.set(key, lead);
    return { role: 'lead', lead };
  }

  endLead(key: string, lead: Lead, how: LeadEnd): void {
    this.#leads.delete(key);
    lead.end(how);
  }

  /**
   * From now on that disk is what others take.
   * @param diskPath a disk that was verified, in the same pool
   * @returns undefined where it cannot be kept, which is no failure of the import that brought it
   */
  async publish(key: string, diskPath: string, facts: Omit<SharedImage, 'kept'>): Promise<SharedImage | undefined> {
    const { images, logger } = this.#options;
    try {
      const image = { ...facts, kept: await images.keep(diskPath, facts.contentDigest) };
      await this.#replace(key, image);
      return image;
    } catch (error) {
      logger.warn({ err: toFault(error) }, 'an image is not shared');
      return undefined;
    }
  }

  async #replace(key: string, image: SharedImage): Promise<void> {
    const former = this.#images.get(key);
    this.#keep(key, image);
    if (former !== undefined) await former.kept.drop();
    for (const [oldest, other] of this.#images) {
      if (this.#images.size <= mostImages) break;
      await this.forget(oldest, other);
    }
  }

  /** It is not what it was, or not wanted any more. */
  async forget(key: string, image: SharedImage): Promise<void> {
    if (this.#images.get(key) === image) {
      this.#images.delete(key);
      clearTimeout(this.#timers.get(key));
      this.#timers.delete(key);
    }
    await image.kept.drop();
  }

  /** Drops all. The imports have ended. */
  async close(): Promise<void> {
    await Promise.all([...this.#images].map(([key, image]) => this.forget(key, image)));
  }

  /** Once more for the whole time. */
  #keep(key: string, image: SharedImage): void {
    this.#images.delete(key);
    this.#images.set(key, image);
    clearTimeout(this.#timers.get(key));
    const timer = setTimeout(() => void this.#expire(key, image), this.#options.keepMs);
    this.#timers.set(key, timer.unref());
  }

  async #expire(key: string, image: SharedImage): Promise<void> {
    if (image.kept.isHeld) return this.#keep(key, image);
    try {
      await this.forget(key, image);
    } catch (error) {
      this.#options.logger.warn({ err: toFault(error) }, 'an image that was shared could not be removed');
    }
  }
}
