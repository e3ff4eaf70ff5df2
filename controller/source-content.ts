// Where the image of a claim is, as its DataVolume or its annotations tell: without secrets, which are only named. Pure.
import { annotations } from '../domain/annotations.ts';
import type { DataVolume } from '../domain/data-volume.ts';

export interface HttpContent {
  kind: 'http';
  url: string;
  secretRef?: string;
  certConfigMap?: string;
  extraHeaders: readonly string[];
  secretExtraHeaders: readonly string[];
  insecureSkipVerify: boolean;
}

/** An image somewhere else, to be brought by an import. */
export type SourceContent = HttpContent;

type Source = NonNullable<DataVolume['spec']['source']>;

/** @returns undefined for what is no such image, or not supported */
export function sourceContent(source: Source): SourceContent | undefined {
  return source.http === undefined ? undefined : httpContent(source.http);
}

/**
 * The same of a claim without DataVolume.
 * @param source the value of the annotation `importSource`
 */
export function sourceContentByAnnotations(
  source: string,
  given: Readonly<Record<string, string>>,
): SourceContent | undefined {
  if (source !== 'http') return undefined;
  return {
    kind: 'http',
    url: given[annotations.importEndpoint] ?? '',
    extraHeaders: numbered(given, annotations.importExtraHeaders),
    secretExtraHeaders: numbered(given, annotations.importSecretExtraHeaders),
    insecureSkipVerify: given[annotations.importInsecureSkipVerify] === 'true',
    ...optional('secretRef', given[annotations.importSecretName]),
    ...optional('certConfigMap', given[annotations.importCertConfigMap]),
  };
}

function httpContent(source: NonNullable<Source['http']>): HttpContent {
  return {
    kind: 'http',
    url: source.url,
    extraHeaders: source.extraHeaders ?? [],
    secretExtraHeaders: source.secretExtraHeaders ?? [],
    insecureSkipVerify: source.insecureSkipVerify === true,
    ...(source.secretRef === undefined ? {} : { secretRef: source.secretRef }),
    ...(source.certConfigMap === undefined ? {} : { certConfigMap: source.certConfigMap }),
  };
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
