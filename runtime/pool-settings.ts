// Which pools a node has, as --pool and LONGSHORE_POOL say: `DIR`, or `NAME=DIR`, several with commas between. Storage classes mean a pool by its name.
// `NAME:loop=DIR` holds the Filesystem claims of the pool to their size.
import { resolve } from 'node:path';
import { Fault } from '../domain/fault.ts';
import { commaSeparated } from './networks.ts';

export interface PoolSetting {
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  /** Default: `none`. */
  readonly enforcement?: Enforcement;
}

const enforcements = ['none', 'loop'] as const;
/** `loop`: a Filesystem claim has a file system of its own, in a file of fixed size behind a loop device. */
export type Enforcement = (typeof enforcements)[number];

/** Name of a pool that is given without one. */
export const defaultPoolName = 'default';

const poolName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const named = /^([^/=:]*)(?::([^/=:]*))?=(.*)$/;

/**
 * @param fallback directory of the one pool where none is given
 * @throws Fault InvalidSetting
 */
export function parsePoolSettings(text: string, fallback: string): [PoolSetting, ...PoolSetting[]] {
  const [first = { name: defaultPoolName, directory: fallback }, ...others] = commaSeparated(text).map(parseOne);
  const settings: [PoolSetting, ...PoolSetting[]] = [first, ...others];
  for (const member of ['name', 'directory'] as const) {
    const values = settings.map((setting) => setting[member]);
    const twice = values.find((value, index) => values.indexOf(value) !== index);
    if (twice !== undefined) throw invalid(`two pools have the ${member} ${twice}`);
  }
  return settings;
}

/** What parsePoolSettings reads. @throws Fault InvalidSetting where it could not */
export function formatPoolSettings(settings: readonly PoolSetting[]): string {
  const comma = settings.find(({ directory }) => directory.includes(','));
  if (comma !== undefined) throw invalid(`${comma.directory} has a comma in its name`);
  return settings.map(formatOne).join(',');
}

function formatOne({ name, directory, enforcement }: PoolSetting): string {
  return `${name}${enforcement === undefined ? '' : `:${enforcement}`}=${directory}`;
}

function parseOne(text: string): PoolSetting {
  const [, name = defaultPoolName, given, directory = text] = named.exec(text) ?? [];
  if (directory === '') throw invalid(`pool ${name} has no directory`);
  const enforcement = enforcements.find((known) => known === given);
  if (given !== enforcement) throw invalid(`pool ${name}: ${given} is no enforcement: ${enforcements.join(' or ')}`);
  const place = { name, directory: resolve(directory) };
  if (poolName.test(name)) return enforcement === undefined ? place : { ...place, enforcement };
  throw invalid(`${name} is no name of a pool: lower-case letters, digits and hyphens, 63 at most`);
}

function invalid(detail: string): Fault {
  return new Fault('InvalidSetting', `pool (--pool, LONGSHORE_POOL): ${detail}`);
}
