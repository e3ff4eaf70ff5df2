// The software bill of materials of the image, as CycloneDX 1.5 JSON: what Debian, npm and Node bring, with versions, licences and package
// URLs. It is made from what was put into the image, and its date and serial number from the image's own, so it is the same for the same image.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DebianPackage } from './debian-packages.ts';
import { type NpmPackage, nodePackage } from './npm-packages.ts';
import { dateText, type ImageFacts } from './oci-archive.ts';

interface License {
  license: { name: string };
}

interface Component {
  type: 'application' | 'container' | 'library' | 'operating-system';
  'bom-ref': string;
  name: string;
  version: string;
  purl?: string;
  cpe?: string;
  licenses?: (License | { expression: string })[];
  hashes?: { alg: 'SHA-512'; content: string }[];
  components?: Component[];
}

export interface ImageContent {
  facts: ImageFacts;
  /** Of the image, `sha256:…`. */
  digest: string;
  /** The unpacked Debian part. */
  debianRoot: string;
  debian: readonly DebianPackage[];
  /** A checkout with its npm packages. */
  repository: string;
  npm: readonly NpmPackage[];
}

/** @returns the text of the file */
export async function billOfMaterials(content: ImageContent): Promise<string> {
  const { facts, digest } = content;
  const release = await readFile(join(content.debianRoot, 'etc/os-release'), 'utf8');
  const debianVersion = /^VERSION_ID="?([^"\n]+)/m.exec(release)?.[1] ?? '';
  const system = { type: 'operating-system', 'bom-ref': 'debian', name: 'debian', version: debianVersion } as const;
  const debian = content.debian.map((one) => debianComponent(one, debianVersion, content.debianRoot));
  const npm = content.npm.map((one) => npmComponent(one, content.repository));
  const image = {
    type: 'container',
    name: facts.name,
    version: facts.version,
    'bom-ref': 'image',
    purl: `pkg:oci/${facts.name}@${encodeURIComponent(digest)}?tag=${facts.version}`,
    licenses: [{ expression: facts.licenses }],
  } satisfies Component;
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    version: 1,
    metadata: { timestamp: dateText(facts.date), component: image },
    components: [system, ...(await Promise.all(debian)), ...(await Promise.all(npm))],
  };
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

async function debianComponent(fields: DebianPackage, debianVersion: string, root: string): Promise<Component> {
  const name = fields.get('Package') ?? '';
  const version = fields.get('Version') ?? '';
  // `Source: name (version)`, where they differ from the package's own: what security advisories speak of.
  const [, source = name, sourceVersion = version] = /^(\S+)(?: \((.+)\))?$/.exec(fields.get('Source') ?? '') ?? [];
  const upstream = `${source}@${sourceVersion}`;
  const qualifiers = { arch: fields.get('Architecture') ?? '', distro: `debian-${debianVersion}`, upstream };
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?${new URLSearchParams(qualifiers)}`;
  const licenses = await debianLicences(join(root, 'usr/share/doc', name, 'copyright'));
  return { type: 'library', 'bom-ref': purl, name, version, purl, ...(licenses.length > 0 ? { licenses } : {}) };
}

/** The short names of a machine-readable copyright file (DEP-5), which are Debian's and not SPDX's; none where the file is prose. */
async function debianLicences(path: string): Promise<License[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''; // a few packages come without
    throw error;
  });
  if (!/^Format: /m.test(text)) return [];
  const names = [...text.matchAll(/^Licen[sc]e:[ \t]*(\S.*)$/gm)].map((match) => (match[1] ?? '').trim());
  return [...new Set(names)].sort().map((name) => ({ license: { name } }));
}

async function npmComponent(one: NpmPackage, repository: string): Promise<Component> {
  const purl = `pkg:npm/${one.name.replace('@', '%40')}@${one.version}`;
  const sha512 = /^sha512-(.+)$/.exec(one.integrity ?? '')?.[1];
  const content = sha512 === undefined ? undefined : Buffer.from(sha512, 'base64').toString('hex');
  const inside = await bundledIn(one, repository);
  return {
    type: 'library',
    'bom-ref': one.path,
    name: one.name,
    version: one.version,
    purl,
    ...(one.license === undefined ? {} : { licenses: [{ expression: one.license }] }),
    ...(content === undefined ? {} : { hashes: [{ alg: 'SHA-512', content }] }),
    ...(inside.length > 0 ? { components: inside } : {}),
  };
}

/** Programs and libraries under which advisories are published, but not as npm packages. */
async function bundledIn(one: NpmPackage, repository: string): Promise<Component[]> {
  if (one.name === nodePackage) {
    return [bundled('node', one.version, 'application', `cpe:2.3:a:nodejs:node.js:${one.version}:*:*:*:lts:*:*:*`)];
  }
  if (one.name !== 'zstd-napi') return [];
  const header = await readFile(join(repository, one.path, 'deps/zstd/lib/zstd.h'), 'utf8');
  const parts = ['MAJOR', 'MINOR', 'RELEASE'].map(
    (part) => new RegExp(`ZSTD_VERSION_${part} +(\\d+)`).exec(header)?.[1],
  );
  return [bundled('zstd', parts.join('.'), 'library', `cpe:2.3:a:facebook:zstandard:${parts.join('.')}:*:*:*:*:*:*:*`)];
}

function bundled(name: string, version: string, type: 'application' | 'library', cpe: string): Component {
  const purl = `pkg:generic/${name}@${version}`;
  return { type, 'bom-ref': purl, name, version, purl, cpe };
}

/** A UUID (version 8: of our own making) that the digest decides. */
function uuidOf(digest: string): string {
  const hex = createHash('sha256').update(digest).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join('-');
}
