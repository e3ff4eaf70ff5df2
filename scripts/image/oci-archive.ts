// Writes a container image as an OCI archive: a tar of an OCI image layout (image-spec 1.0: image-layout.md, manifest.md, config.md). Pure
// function of its input: the same layers and facts give the same bytes and the same digest.
import { createHash } from 'node:crypto';
import { link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layer } from './layer.ts';
import { runCommand } from './run-command.ts';

export interface ImageFacts {
  name: string;
  version: string;
  description: string;
  licenses: string;
  /** The commit that it is built from. */
  revision: string;
  /** Seconds since 1970. */
  date: number;
  user: string;
  entrypoint: readonly string[];
  environment: Readonly<Record<string, string>>;
  ports: readonly number[];
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/** How the version of the image is called where it is loaded without being pushed; what containerd and Podman read. */
export function localReference(facts: Pick<ImageFacts, 'name' | 'version'>): string {
  return `localhost/${facts.name}:${facts.version}`;
}

/**
 * @param directory an empty one for the layout; the layers' files lie on the same filesystem
 * @param archive the file to write
 * @returns the digest of the manifest, `sha256:…`, which is the image's
 */
export async function writeOciArchive(
  facts: ImageFacts,
  layers: readonly Layer[],
  directory: string,
  archive: string,
): Promise<string> {
  const blobs = join(directory, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const layerDescriptors: Descriptor[] = [];
  for (const layer of layers) {
    await link(layer.file, join(blobs, layer.digest));
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
    layerDescriptors.push({ mediaType, digest: `sha256:${layer.digest}`, size: layer.sizeBytes });
  }
  const config = await writeBlob(blobs, 'application/vnd.oci.image.config.v1+json', imageConfig(facts, layers));
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = await writeBlob(blobs, manifestType, {
    schemaVersion: 2,
    mediaType: manifestType,
    config,
    layers: layerDescriptors,
    annotations: annotationsOf(facts),
  });
  await writeJson(join(directory, 'oci-layout'), { imageLayoutVersion: '1.0.0' });
  await writeJson(join(directory, 'index.json'), {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...manifest, annotations: namesOf(facts), platform: platform() }],
  });
  await packLayout(directory, archive, facts.date);
  return manifest.digest;
}

async function packLayout(directory: string, archive: string, date: number): Promise<void> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX', `--mtime=@${date}`];
  const entries = ['oci-layout', 'index.json', 'blobs'];
  await runCommand('tar', [
    '--create',
    '--format=ustar',
    '--sort=name',
    ...owner,
    '-C',
    directory,
    '-f',
    archive,
    ...entries,
  ]);
}

function imageConfig(facts: ImageFacts, layers: readonly Layer[]): object {
  const created = dateText(facts.date);
  return {
    created,
    ...platform(),
    config: {
      User: facts.user,
      ExposedPorts: Object.fromEntries(facts.ports.map((port) => [`${port}/tcp`, {}])),
      Env: Object.entries(facts.environment).map(([name, value]) => `${name}=${value}`),
      Entrypoint: facts.entrypoint,
      WorkingDir: '/',
      Labels: annotationsOf(facts),
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${layer.contentDigest}`) },
    history: layers.map((layer) => ({ created, created_by: layer.name })),
  };
}

function platform(): { architecture: string; os: string } {
  return { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' };
}

function annotationsOf(facts: ImageFacts): Record<string, string> {
  return {
    'org.opencontainers.image.created': dateText(facts.date),
    'org.opencontainers.image.description': facts.description,
    'org.opencontainers.image.licenses': facts.licenses,
    'org.opencontainers.image.revision': facts.revision,
    'org.opencontainers.image.title': facts.name,
    'org.opencontainers.image.version': facts.version,
  };
}

function namesOf(facts: ImageFacts): Record<string, string> {
  return {
    'io.containerd.image.name': localReference(facts),
    'org.opencontainers.image.ref.name': facts.version,
  };
}

/** As RFC 3339 wants it, in whole seconds. */
export function dateText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

async function writeBlob(blobs: string, mediaType: string, content: object): Promise<Descriptor> {
  const text = JSON.stringify(content);
  const digest = createHash('sha256').update(text).digest('hex');
  await writeFile(join(blobs, digest), text);
  return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
}

async function writeJson(path: string, content: object): Promise<void> {
  await writeFile(path, JSON.stringify(content));
}
