// The target that a symbolic link of an archive gets: one that can lead nowhere but to what was unpacked with it, whoever follows it. Pure.
import { Fault } from '../domain/fault.ts';
import { shownName } from './entry-path.ts';

/** Longest that a link can have on Linux. */
const longestTargetBytes = 4095;

export interface InertLink {
  target: string;
  /** It was absolute, and now names the same place seen from the root of the archive. */
  wasAbsolute: boolean;
}

/**
 * A relative target stays as it is. It may climb as far as to the root of the archive, and only at its beginning: a `..` behind a name leads wherever that
 * name does, which may be another link.
 * @param depth how many directories the link lies below that root
 * @throws Fault HostileArchive for one that leads out
 */
export function inertLink(name: string, target: string, depth: number): InertLink {
  const refused = (why: string) =>
    new Fault('HostileArchive', `the link ${shownName(name)} to ${shownName(target)} ${why}`);
  if (target === '' || target.includes('\0')) throw refused('names nothing');
  if (target.includes('\uFFFD')) throw refused('names what is not UTF-8');
  const names = target.split('/').filter((part) => part !== '' && part !== '.');
  const climbs = names.findIndex((part) => part !== '..');
  const ups = climbs < 0 ? names.length : climbs;
  if (names.slice(ups).includes('..')) throw refused('has a `..` behind a name, which may lead anywhere');
  const wasAbsolute = target.startsWith('/');
  // As for a process whose root is that of the archive, where `/..` is `/`.
  const fromRoot = [...Array.from({ length: depth }, () => '..'), ...names.slice(ups)].join('/');
  const inert = wasAbsolute ? fromRoot || '.' : target;
  if (!wasAbsolute && ups > depth) throw refused('leads out of the archive');
  if (Buffer.byteLength(inert) > longestTargetBytes) throw refused('is too long');
  return { target: inert, wasAbsolute };
}
