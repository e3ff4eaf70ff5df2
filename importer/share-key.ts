// When two imports bring the same content: they ask the same place in the same way, trust the same to answer, are told the same identity, and want the same of the
// bytes. Only credentials do not count: each import has shown that its own let it in. Whatever else a user can set does, since it may decide who answers and with
// what: a proxy, a CA or a header of one tenant must not choose what another tenant gets, nor a made-up answer get what another one may read.
import { createHash } from 'node:crypto';
import { parseImageReference } from '../domain/image-reference.ts';
import type { ImageSource } from './image-source.ts';
import type { SourceLocation } from './open-source.ts';
import type { ImportPlan } from './plan.ts';
import { algorithmOf } from './source-digest.ts';

/** What the source told of its content to this import. */
export type ToldContent = Pick<ImageSource, 'identity'> & {
  /** How it begins: a server that gives each user files of their own under one URL, and makes ETags of date and length, may tell one identity for two of them. */
  head: Buffer;
};

/** @returns undefined where nothing proves that another import would bring the same */
export function shareKeyOf(
  location: SourceLocation,
  { identity, head }: ToldContent,
  { strategy }: Pick<ImportPlan, 'strategy'>,
  checksum: string | undefined,
): string | undefined {
  if (identity === undefined) return undefined;
  if (location.kind !== 'registry' && location.onePass === true) return undefined; // its server contradicts itself
  const { certificates, insecureSkipVerify, proxy = {} } = location;
  const trust = [certificates, insecureSkipVerify, proxy.http, proxy.https, proxy.no];
  // Read by ranges there is no digest of the source; else its sha256 is made anyway, and another one only where it was asked.
  const algorithm = checksum === undefined ? 'sha256' : algorithmOf(checksum);
  const made = strategy === 'nbd' ? 'none' : algorithm;
  const begin = createHash('sha256').update(head).digest('hex');
  const parts = [location.kind, ...placeOf(location), trust, identity, begin, made];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function placeOf(location: SourceLocation): unknown[] {
  switch (location.kind) {
    case 'http':
      return [withoutUser(location.url), location.headers.filter(([name]) => !isCredential(name))];
    case 's3':
      return [location.url, location.region];
    case 'gcs':
      return [location.url];
    case 'registry': {
      // Not the tag: the identity is that of the layers. But the repository: rights are given by it.
      const image = parseImageReference(location.url);
      return image === undefined ? [location.url] : [image.host, image.repository];
    }
  }
}

function isCredential(headerName: string): boolean {
  return headerName.trim().toLowerCase() === 'authorization';
}

function withoutUser(text: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}
