// Where the image of a claim is, as its DataVolume or its annotations tell: without secrets, which are only named. Pure.
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';

export interface HttpContent {
  kind: 'http';
  url: string;
  secretRef?: string;
  certConfigMap?: string;
  extraHeaders: readonly string[];
  secretExtraHeaders: readonly string[];
  insecureSkipVerify: boolean;
}

/** An object in the store of a cloud. */
export interface ObjectContent {
  kind: 's3' | 'gcs';
  url: string;
  secretRef?: string;
  certConfigMap?: string;
}

/** A container disk in a registry. */
export interface RegistryContent {
  kind: 'registry';
  url: string;
  secretRef?: string;
  certConfigMap?: string;
  /** Such as amd64; that of the node where none is named. */
  architecture?: string;
}

/** An image somewhere else, to be brought by an import. */
export type SourceContent = HttpContent | ObjectContent | RegistryContent;

type Source = NonNullable<DataVolume['spec']['source']>;

/** @returns undefined for what is no such image, or not supported */
export function sourceContent(source: Source): SourceContent | undefined {
  if (source.http !== undefined) return httpContent(source.http);
  if (source.s3 !== undefined) return { kind: 's3', ...placeOf(source.s3) };
  if (source.gcs !== undefined) return { kind: 'gcs', ...placeOf(source.gcs) };
  const { url = '', pullMethod, platform, ...place } = source.registry ?? {};
  if (url === '' || pullMethod === 'node') return undefined;
  return { kind: 'registry', ...placeOf({ ...place, url }), ...optional('architecture', platform?.architecture) };
}

/** One sentence about a source that `sourceContent` does not take. */
export function whyUnsupported(source: Source): string {
  const { registry } = source;
  if (registry === undefined) return notYet(Object.keys(source)[0] ?? 'none');
  return (registry.imageStream ?? '') === '' ? nodePull : imageStream;
}

/** The same of a claim without DataVolume. */
export function whyUnsupportedByAnnotations(source: string, given: Readonly<Record<string, string>>): string {
  if (source !== 'registry') return notYet(source);
  return given[annotations.importRegistryImageStream] === 'true' ? imageStream : nodePull;
}

function notYet(source: string): string {
  return `source ${source} is not supported yet`;
}

const nodePull = 'pullMethod node is not supported: the worker pulls the image by itself, so leave pullMethod out';
const imageStream = 'an imageStream is not supported: name the image by its url, such as docker://host/repository:tag';

/**
 * The same of a claim without DataVolume.
 * @param source the value of the annotation `importSource`
 */
export function sourceContentByAnnotations(
  source: string,
  given: Readonly<Record<string, string>>,
): SourceContent | undefined {
  const place = {
    url: given[annotations.importEndpoint] ?? '',
    ...optional('secretRef', given[annotations.importSecretName]),
    ...optional('certConfigMap', given[annotations.importCertConfigMap]),
  };
  if (source === 's3' || source === 'gcs') return { kind: source, ...place };
  if (source === 'registry' && !isPulledByNode(given)) {
    return { kind: 'registry', ...place, ...optional('architecture', given[annotations.importRegistryArchitecture]) };
  }
  if (source !== 'http') return undefined;
  return {
    kind: 'http',
    ...place,
    extraHeaders: numbered(given, annotations.importExtraHeaders),
    secretExtraHeaders: numbered(given, annotations.importSecretExtraHeaders),
    insecureSkipVerify: given[annotations.importInsecureSkipVerify] === 'true',
  };
}

function isPulledByNode(given: Readonly<Record<string, string>>): boolean {
  return given[annotations.importRegistryMethod] === 'node' || given[annotations.importRegistryImageStream] === 'true';
}

function httpContent(source: NonNullable<Source['http']>): HttpContent {
  return {
    kind: 'http',
    ...placeOf(source),
    extraHeaders: source.extraHeaders ?? [],
    secretExtraHeaders: source.secretExtraHeaders ?? [],
    insecureSkipVerify: source.insecureSkipVerify === true,
  };
}

function placeOf({ url, secretRef, certConfigMap }: { url: string; secretRef?: string; certConfigMap?: string }) {
  return { url, ...optional('secretRef', secretRef), ...optional('certConfigMap', certConfigMap) };
}

/** `name.0`, `name.1`, … */
function numbered(given: Readonly<Record<string, string>>, name: string): string[] {
  const entries = Object.entries(given).filter(([key]) => key.startsWith(`${name}.`));
  const places = entries.map(([key, value]) => ({ place: Number(key.slice(name.length + 1)), value }));
  return places.toSorted((one, other) => one.place - other.place).map(({ value }) => value);
}

function optional<K extends string>(name: K, value: string | undefined): Partial<Record<K, string>> {
  // Safe: the one member that a Record of this key can have.
  return value === undefined || value === '' ? {} : ({ [name]: value } as Record<K, string>);
}
