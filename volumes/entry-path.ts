// The name of an entry of an archive as the way to it: plain names of directories and the file, which can lead nowhere but into the directory that the
// archive is unpacked into. Pure.
import { Fault } from '../domain/fault.ts';

/** Of every file system. */
const longestNameBytes = 255;
const mostNames = 128;

/**
 * @returns the names on the way, none of them `.` or `..`; none at all for the directory itself
 * @throws Fault HostileArchive
 */
export function entryPath(name: string): string[] {
  const names = name.split('/').filter((part) => part !== '' && part !== '.');
  const why = whyRefused(name, names);
  if (why !== undefined) throw new Fault('HostileArchive', `${shownName(name)} ${why}`);
  return names;
}

/** A name as it may stand in a sentence, however long and whatever is in it. */
export function shownName(name: string): string {
  const most = 120;
  return name.length <= most ? JSON.stringify(name) : `${JSON.stringify(name.slice(0, most))}…`;
}

function whyRefused(name: string, names: readonly string[]): string | undefined {
  if (name === '') return 'is the name of an entry';
  if (name.includes('\0')) return 'has a zero byte in its name';
  // Two such names could become the same.
  if (name.includes('\uFFFD')) return 'has a name that is not UTF-8';
  if (name.startsWith('/')) return 'is absolute: a name has to be relative';
  if (names.includes('..')) return 'leads out of its directory by `..`';
  if (names.length > mostNames) return `lies deeper than ${mostNames} directories`;
  const isLong = names.some((part) => Buffer.byteLength(part) > longestNameBytes);
  return isLong ? `has a name of more than ${longestNameBytes} bytes` : undefined;
}
