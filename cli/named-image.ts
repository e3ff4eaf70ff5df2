// The source that a URL on the command line means, with the rights and the trust that options name.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DataVolumeSource } from '../domain/data-volume.ts';
import { Fault } from '../domain/fault.ts';
import { parseImageReference } from '../domain/image-reference.ts';

export interface SourceOptions {
  as?: 'http' | 's3' | 'gcs';
  secret?: string;
  ca?: string;
  header?: string[];
  checksum?: string;
}

/** What an object asks for. */
export interface NamedImage {
  source: DataVolumeSource;
  /** Of a source that has no member for it. */
  checksum?: string;
}

export const urlHelp =
  'http:, https:, s3://bucket/key, gs://bucket/object, docker://host/repository:tag or oci-archive:path';

export function addSourceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--as <kind>', 'what answers at an http or https URL; default: http').choices(['http', 's3', 'gcs']),
    )
    .option('--secret <name>', 'secret of the namespace with the right to read it (see: longshore credentials)')
    .option('--ca <name>', 'config map of the namespace with CAs to trust besides those of the system')
    .option('--header <line...>', 'header lines `Name: value` to send to a web server');
}

/** For commander. */
export function parseSourceUrl(text: string): string {
  const isImage = parseImageReference(text) !== undefined || /^oci-archive:./.test(text);
  const isFile = URL.canParse(text) && /^(https?|s3|gs):\/\/./i.test(text);
  if (!isImage && !isFile) throw new InvalidArgumentError(`expected ${urlHelp}.`);
  return text;
}

/** @throws Fault InvalidRequest for options that this kind of source does not take */
export function namedImage(url: string, options: SourceOptions): NamedImage {
  const kind = kindOf(url, options.as);
  const { secret, ca, header, checksum } = options;
  if (header !== undefined && kind !== 'http') throw refused('--header', kind);
  if (ca !== undefined && kind === 'gcs') throw refused('--ca', kind);
  const place = {
    url,
    ...(secret === undefined ? {} : { secretRef: secret }),
    ...(ca === undefined ? {} : { certConfigMap: ca }),
  };
  const wish = checksum === undefined ? {} : { checksum };
  if (kind !== 'http') return { source: { [kind]: place }, ...wish };
  return { source: { http: { ...place, ...(header === undefined ? {} : { extraHeaders: header }), ...wish } } };
}

function kindOf(url: string, as: SourceOptions['as']): 'http' | 's3' | 'gcs' | 'registry' {
  const told = /^s3:/i.test(url) ? 's3' : /^gs:/i.test(url) ? 'gcs' : /^https?:/i.test(url) ? undefined : 'registry';
  if (told === undefined) return as ?? 'http';
  if (as !== undefined && as !== told) throw new Fault('InvalidRequest', `--as ${as}: ${url} is of the kind ${told}`);
  return told;
}

function refused(option: string, kind: string): Fault {
  return new Fault('InvalidRequest', `${option} is not for a source of the kind ${kind}`);
}
