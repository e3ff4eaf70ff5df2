// What tells one version of a source's content from the next, and the names that follow from it. A digest tells it for certain; an ETag too, but some
// mirrors give the same file another ETag each; a date with a length tells it well enough.
import { createHash } from 'node:crypto';
import { type Static, Type } from 'typebox';

/** As a worker finds it when it looks. Something of it is always there; see `isTold`. */
export const SourceVersion = Type.Object({
  /** `sha256:hex` of a manifest. */
  digest: Type.Optional(Type.String()),
  /** As served; may be weak. */
  etag: Type.Optional(Type.String()),
  /** As served. */
  lastModified: Type.Optional(Type.String()),
  /** Length of the content. */
  bytes: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type SourceVersion = Static<typeof SourceVersion>;

/** Whether another version could be told from this one. A length alone could not. */
export function isTold({ digest, etag, lastModified }: SourceVersion): boolean {
  return digest !== undefined || etag !== undefined || lastModified !== undefined;
}

/** Whether both are the same content, as far as can be told. */
export function isSameVersion(one: SourceVersion, other: SourceVersion): boolean {
  if (one.digest !== undefined || other.digest !== undefined) return one.digest === other.digest;
  if (one.etag !== undefined && bare(one.etag) === bare(other.etag)) return true;
  const isSameDate = one.lastModified !== undefined && one.lastModified === other.lastModified;
  if (one.etag !== undefined && other.etag !== undefined) {
    return isSameDate && one.bytes !== undefined && one.bytes === other.bytes;
  }
  return isSameDate && one.bytes === other.bytes;
}

function bare(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, '');
}

/** The version in one word, as CDI keeps it in `sourceDesiredDigest`: `sha256:…` as it is, else the hash of what is told, named after it. */
export function digestOfVersion({ digest, etag, lastModified = '', bytes }: SourceVersion): string {
  if (digest !== undefined) return digest;
  if (etag !== undefined) return `etag:${hashOf(bare(etag) ?? '')}`;
  return `last-modified:${hashOf(`${lastModified} ${bytes ?? ''}`)}`;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const digestForm = /^[a-z0-9][a-z0-9.+_-]*:([a-z0-9-]{12,})$/;
const lettersOfDigest = 12;

/** Name of the DataVolume that imports that version, as CDI forms it. @returns undefined where no digest can be read */
export function importNameOf(managedDataSource: string, digest: string): string | undefined {
  const hash = digestForm.exec(digest)?.[1];
  // A uid has a dash there, but never two, nor one at the end of twelve letters.
  return hash === undefined ? undefined : `${managedDataSource}-${hash.slice(0, lettersOfDigest)}`;
}

/** The reference of that very image: `docker://host/repository:tag` becomes `docker://host/repository@sha256:…`. Any other URL stays as it is. */
export function pinnedReference(url: string, digest: string): string {
  if (!url.startsWith('docker://')) return url;
  return `${url.replace(/@[^/]*$/, '').replace(/:[^:/]*$/, '')}@${digest}`;
}
