// CDI's rules about `spec.source` and `spec.contentType` of a DataVolume, with its messages. The first rule that is broken ends the list,
// as in CDI; only the URL and the checksum of an http source are both told.
import type { Static } from 'typebox';
import { type Cause, invalid } from './cause.ts';
import { parseChecksum } from './checksum.ts';
import type {
  DataVolumeSource,
  DataVolumeSpec,
  HttpSource,
  ImageioSource,
  RegistrySource,
  VddkSource,
} from './data-volume.ts';

const sourceField = 'spec.source';
const sourceNames = [
  'http',
  's3',
  'gcs',
  'registry',
  'pvc',
  'upload',
  'blank',
  'imageio',
  'vddk',
  'snapshot',
] as const satisfies readonly (keyof DataVolumeSource)[];

/** Causes against a source that is set, and against the content type that goes with it. */
export function checkSource(source: DataVolumeSource, contentType: string | undefined): Cause[] {
  const causes = [
    () => checkNumber(source),
    () => checkContentType(contentType),
    () => checkMember(source, contentType),
  ];
  return firstCauses(causes);
}

/** Causes against `spec.sourceRef`. */
export function checkSourceRef(ref: NonNullable<DataVolumeSpec['sourceRef']>): Cause[] {
  if (ref.kind === '') return [invalid('spec.sourceRef.Kind', 'Missing sourceRef kind')];
  if (ref.kind !== 'DataSource') {
    const message = `Unsupported sourceRef kind ${ref.kind}, currently only DataSource is supported`;
    return [invalid('spec.sourceRef.Kind', message)];
  }
  return ref.name === '' ? [invalid('spec.sourceRef.Name', 'Missing sourceRef name')] : [];
}

/** @param field where the checksum stands */
export function checkChecksum(field: string, text: string): Cause[] {
  const parsed = parseChecksum(text);
  return 'problem' in parsed ? [invalid(field, `Invalid checksum format: ${parsed.problem}`)] : [];
}

function firstCauses(checks: readonly (() => Cause[])[]): Cause[] {
  for (const check of checks) {
    const causes = check();
    if (causes.length > 0) return causes;
  }
  return [];
}

function checkNumber(source: DataVolumeSource): Cause[] {
  const count = sourceNames.filter((name) => source[name] !== undefined).length;
  if (count === 0) return [invalid(sourceField, 'Missing Data volume source')];
  return count > 1 ? [invalid(sourceField, 'Multiple Data volume sources')] : [];
}

function checkContentType(contentType = ''): Cause[] {
  const known = ['', 'kubevirt', 'archive'].includes(contentType);
  return known ? [] : [invalid('spec.contentType', 'ContentType not one of: kubevirt, archive')];
}

function checkMember(source: DataVolumeSource, contentType = ''): Cause[] {
  if (source.http !== undefined) return checkHttp(source.http);
  if (source.s3 !== undefined) return checkUrl('S3', source.s3.url);
  if (source.gcs !== undefined) return checkUrl('GCS', source.gcs.url);
  if (source.blank !== undefined) return checkBlank(contentType);
  if (source.registry !== undefined) return checkRegistry(source.registry, contentType);
  if (source.imageio !== undefined) return checkImageio(source.imageio);
  if (source.vddk !== undefined) return checkVddk(source.vddk);
  if (source.pvc !== undefined) return checkNamed('PVC', 'PVC', source.pvc);
  if (source.snapshot !== undefined) return checkNamed('Snapshot', 'snapshot', source.snapshot);
  return [];
}

function checkHttp(http: Static<typeof HttpSource>): Cause[] {
  const checksum = http.checksum ?? '';
  return [
    ...checkUrl('HTTP', http.url),
    ...(checksum === '' ? [] : checkChecksum(`${sourceField}.HTTP.checksum`, checksum)),
  ];
}

const scheme = /^([a-z][a-z0-9+.-]*):/i;

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\u007f');
}

/** What is wrong with a URL, in CDI's words. Unlike CDI this also wants a host, without which no such source can be read, and takes `s3:` of an S3 source. */
function urlProblem(text: string, member: string): string | undefined {
  if (text === '') return 'source URL is empty';
  if (hasControlCharacter(text)) return `Invalid source URL: ${text}`;
  const found = scheme.exec(text)?.[1]?.toLowerCase();
  if (found === undefined && !text.startsWith('/')) return `Invalid source URL: ${text}`;
  if (found === undefined || !(found === 's3' ? member === 'S3' : ['http', 'https', 'gs'].includes(found)))
    return `Invalid source URL scheme: ${text}`;
  const complete = /^[a-z][a-z0-9]*:\/\/[^/?#]/i.test(text) && URL.canParse(text);
  return complete ? undefined : `Invalid source URL: ${text}`;
}

function checkUrl(member: string, url = ''): Cause[] {
  const problem = urlProblem(url, member);
  return problem === undefined ? [] : [invalid(`${sourceField}.${member}.url`, `${sourceField} ${problem}`)];
}

function checkBlank(contentType: string): Cause[] {
  if (contentType !== 'archive') return [];
  return [invalid('spec.contentType', 'SourceType cannot be blank and the contentType be archive')];
}

function checkRegistry(registry: Static<typeof RegistrySource>, contentType: string): Cause[] {
  const field = `${sourceField}.Registry`;
  if (contentType === 'archive') {
    return [invalid('spec.contentType', 'ContentType must be kubevirt when Source is Registry')];
  }
  const { url, imageStream, pullMethod } = registry;
  if ((url === undefined) === (imageStream === undefined)) {
    return [invalid(field, 'Source registry should have either URL or ImageStream')];
  }
  const problem = url === undefined ? undefined : registryUrlProblem(url);
  if (problem !== undefined) return [invalid(`${field}.URL`, problem)];
  const methodField = `${field}.importMethod`;
  if (pullMethod !== undefined && pullMethod !== 'pod' && pullMethod !== 'node') {
    return [invalid(methodField, `ImportMethod ${pullMethod} is neither pod, node or ""`)];
  }
  if (imageStream === '') return [invalid(methodField, 'Source registry ImageStream is not valid')];
  if (imageStream === undefined || pullMethod === 'node') return [];
  return [invalid(methodField, 'Source registry ImageStream is supported only with node pull import method')];
}

function registryUrlProblem(url: string): string | undefined {
  if (hasControlCharacter(url) || url.startsWith(':')) return `Illegal registry source URL ${url}`;
  const known = ['docker', 'oci-archive'].includes(scheme.exec(url)?.[1]?.toLowerCase() ?? '');
  return known ? undefined : `Illegal registry source URL scheme ${url}`;
}

function checkImageio(imageio: Static<typeof ImageioSource>): Cause[] {
  const field = `${sourceField}.Imageio`;
  const isEmpty = (text: string | undefined): boolean => text === undefined || text === '';
  if (isEmpty(imageio.secretRef) || imageio.diskId === '') {
    return [invalid(field, `${field} source Imageio is not valid`)];
  }
  if (isEmpty(imageio.certConfigMap) && imageio.insecureSkipVerify !== true) {
    return [invalid(field, `${field} source Imageio requires CertConfigMap or InsecureSkipVerify`)];
  }
  return checkUrl('ImageIO', imageio.url);
}

function checkVddk(vddk: Static<typeof VddkSource>): Cause[] {
  const field = `${sourceField}.VDDK`;
  const needed = [vddk.secretRef, vddk.uuid, vddk.backingFile, vddk.thumbprint];
  if (needed.some((text) => text === undefined || text === '')) {
    return [invalid(field, `${field} source VDDK is not valid`)];
  }
  return checkUrl('VDDK', vddk.url);
}

function checkNamed(member: string, word: string, source: { namespace: string; name: string }): Cause[] {
  const field = `${sourceField}.${member}`;
  const complete = source.namespace !== '' && source.name !== '';
  return complete ? [] : [invalid(field, `${field} source ${word} is not valid`)];
}
