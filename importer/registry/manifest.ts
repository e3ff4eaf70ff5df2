// Manifests, indexes and configurations of container images, Docker's (schema 2) and OCI's, as far as the importer needs them. Pure.
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../../domain/fault.ts';
import { isImageDigest } from '../../domain/image-reference.ts';

const Text = Type.Optional(Type.Union([Type.String(), Type.Null()]));

const Descriptor = Type.Object({
  mediaType: Text,
  digest: Type.String(),
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
});
export type Descriptor = Static<typeof Descriptor>;

const Platform = Type.Object({ architecture: Text, os: Text, variant: Text });
const IndexEntry = Type.Object({
  ...Descriptor.properties,
  platform: Type.Optional(Type.Union([Platform, Type.Null()])),
  annotations: Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
});
export type IndexEntry = Static<typeof IndexEntry>;

const Index = Type.Object({ manifests: Type.Array(IndexEntry) });
const Manifest = Type.Object({ config: Descriptor, layers: Type.Array(Descriptor) });
export type Manifest = Static<typeof Manifest>;

const Configuration = Type.Object({
  architecture: Text,
  config: Type.Optional(
    Type.Union([
      Type.Object({
        Env: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
        Labels: Type.Optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
      }),
      Type.Null(),
    ]),
  ),
});

export interface ImageConfiguration {
  architecture: string | undefined;
  environment: readonly string[];
  labels: Readonly<Record<string, string>>;
}

/** Of each kind Docker's and OCI's name. */
const indexTypes = [
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json',
];
const manifestTypes = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
];
/** What a registry is asked for. */
export const acceptedTypes = [...manifestTypes, ...indexTypes].join(', ');

const checks = { index: Compile(Index), manifest: Compile(Manifest), configuration: Compile(Configuration) };
/** Docker makes 127 at most. */
const mostLayers = 512;
const deepestIndex = 3;

export type Parsed = { kind: 'index'; entries: readonly IndexEntry[] } | { kind: 'manifest'; manifest: Manifest };

/**
 * @param servedType Content-Type, or the media type of the descriptor that led here
 * @throws Fault NotAContainerDisk for anything else, also for what could be read as both (CVE-2021-41190)
 */
export function parseManifest(bytes: Buffer, servedType: string | undefined): Parsed {
  const value = parsedJson(bytes, 'manifest');
  const own = Reflect.get(value, 'mediaType');
  const named = typeof own === 'string' ? own : (servedType ?? '').split(';')[0]?.trim();
  if (Reflect.get(value, 'schemaVersion') === 1) {
    throw new Fault(
      'NotAContainerDisk',
      'the manifest has schema version 1, which is out of use; push the image again',
    );
  }
  const hasEntries = Reflect.has(value, 'manifests');
  const hasLayers = Reflect.has(value, 'layers') || Reflect.has(value, 'config');
  const isIndex = indexTypes.includes(named ?? '') || (!manifestTypes.includes(named ?? '') && hasEntries);
  const isKnown = isIndex || manifestTypes.includes(named ?? '') || (own === undefined && hasLayers);
  if (!isKnown) throw new Fault('NotAContainerDisk', `media type ${named ?? 'none'} of the manifest is not supported`);
  if (hasEntries && hasLayers) throw new Fault('NotAContainerDisk', 'the manifest is an index and an image at once');
  if (isIndex) return { kind: 'index', entries: checked(value, checks.index, 'index').manifests };
  const manifest = checked(value, checks.manifest, 'manifest');
  if (manifest.layers.length > mostLayers) {
    throw new Fault('NotAContainerDisk', `the image has ${manifest.layers.length} layers, more than ${mostLayers}`);
  }
  for (const { digest } of [manifest.config, ...manifest.layers]) assertKnownDigest(digest);
  return { kind: 'manifest', manifest };
}

/** @throws Fault NotAContainerDisk */
export function parseConfiguration(bytes: Buffer): ImageConfiguration {
  const value = checked(parsedJson(bytes, 'configuration'), checks.configuration, 'configuration');
  const { Env, Labels } = value.config ?? {};
  return { architecture: value.architecture ?? undefined, environment: Env ?? [], labels: Labels ?? {} };
}

/**
 * The image of an index for that architecture and Linux.
 * @throws Fault ArchitectureMissing, in CDI's words and with those that are there
 */
export function chooseEntry(entries: readonly IndexEntry[], architecture: string): IndexEntry {
  const images = entries.filter(({ platform }) => platform?.os !== 'unknown');
  const fitting = images.find(
    ({ platform }) => platform?.architecture === architecture && (platform.os ?? 'linux') === 'linux',
  );
  const only = images.length === 1 && images[0]?.platform == null ? images[0] : undefined;
  const chosen = fitting ?? only;
  if (chosen === undefined) {
    const present = images.map(({ platform }) => `${platform?.os ?? '?'}/${platform?.architecture ?? '?'}`);
    const missing = `no image found in image index for architecture "${architecture}", variant "", OS "linux"`;
    throw new Fault('ArchitectureMissing', `${missing}; there are: ${[...new Set(present)].join(', ') || 'none'}`);
  }
  assertKnownDigest(chosen.digest);
  return chosen;
}

/** @throws Fault NotAContainerDisk */
export function assertDepth(indexes: number): void {
  if (indexes > deepestIndex) throw new Fault('NotAContainerDisk', 'the index leads to an index again and again');
}

function assertKnownDigest(digest: string): void {
  if (!isImageDigest(digest))
    throw new Fault('NotAContainerDisk', 'a digest of the image is neither sha256 nor sha512');
}

function parsedJson(bytes: Buffer, what: string): object {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new Fault('NotAContainerDisk', `the ${what} is no JSON`, { cause });
  }
  if (typeof value !== 'object' || value === null)
    throw new Fault('NotAContainerDisk', `the ${what} is no JSON object`);
  return value;
}

function checked<T>(value: unknown, check: { Check(value: unknown): value is T }, what: string): T {
  if (!check.Check(value)) throw new Fault('NotAContainerDisk', `the ${what} does not have the form of one`);
  return value;
}
