// From a reference to one image: its manifest, chosen by architecture where there are several, and its configuration, each proved by its digest.
import { Fault } from '../../domain/fault.ts';
import { assertDigest, digestOf } from './image-digest.ts';
import { type ImageStore, mostDocumentBytes } from './image-store.ts';
import {
  assertDepth,
  chooseEntry,
  type Descriptor,
  type ImageConfiguration,
  type Parsed,
  parseConfiguration,
  parseManifest,
} from './manifest.ts';

export interface ResolvedImage {
  /** Of what the reference names: the same digest is the same content. */
  digest: string;
  /** The lowest first. */
  layers: readonly Descriptor[];
  configuration: ImageConfiguration;
  /** Bytes that were fetched for this. */
  fetchedBytes: number;
}

/** In CDI's words, which people search for. */
const bootcWords =
  'bootc image detected: this image contains an ostree-based bootable OS (containers.bootc=1 or ostree.bootable=1) and cannot be imported as a regular container disk';

/** Node's names of processors, and those of image indexes. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
};

/**
 * @param architecture undefined for that of this machine
 * @throws Fault of the group source, NotAContainerDisk, ArchitectureMissing, ChecksumMismatch
 */
export async function resolveImage(store: ImageStore, architecture: string | undefined): Promise<ResolvedImage> {
  const root = await rootOf(store);
  let fetchedBytes = root.bytes.byteLength;
  let parsed: Parsed = parseManifest(root.bytes, root.mediaType);
  for (let indexes = 1; parsed.kind === 'index'; indexes += 1) {
    assertDepth(indexes);
    const wanted = architecture ?? architectures[process.arch] ?? process.arch;
    const entry = chooseEntry(parsed.entries, wanted);
    const { bytes, mediaType } = await store.manifest(entry);
    assertDigest(bytes, entry, 'the manifest');
    fetchedBytes += bytes.byteLength;
    parsed = parseManifest(bytes, entry.mediaType ?? mediaType);
  }
  const { config, layers } = parsed.manifest;
  const bytes = await readBlob(store, config);
  const configuration = parseConfiguration(bytes);
  assertArchitecture(configuration, architecture);
  if (configuration.labels['containers.bootc'] === '1' || configuration.labels['ostree.bootable'] === '1') {
    throw new Fault('NotAContainerDisk', bootcWords);
  }
  return { digest: root.digest, layers, configuration, fetchedBytes: fetchedBytes + bytes.byteLength };
}

/** The digest of what the reference names. @throws Fault of the group source, ChecksumMismatch */
export async function rootOf(
  store: ImageStore,
): Promise<{ digest: string; bytes: Buffer; mediaType: string | undefined }> {
  const { bytes, mediaType } = await store.root();
  const { askedDigest } = store;
  if (askedDigest === undefined) return { digest: digestOf(bytes), bytes, mediaType };
  assertDigest(bytes, { digest: askedDigest, size: bytes.byteLength }, 'the manifest');
  return { digest: askedDigest, bytes, mediaType };
}

async function readBlob(store: ImageStore, descriptor: Descriptor): Promise<Buffer> {
  const { size } = descriptor;
  if (size > mostDocumentBytes) {
    throw new Fault('NotAContainerDisk', `the configuration of the image has ${size} bytes, which is too much`);
  }
  const blob = await store.blob(descriptor);
  try {
    const bytes = await blob.head(size + 1);
    assertDigest(bytes, descriptor, 'the configuration');
    return bytes;
  } finally {
    await blob.close();
  }
}

function assertArchitecture({ architecture }: ImageConfiguration, wanted: string | undefined): void {
  if (wanted === undefined || architecture === wanted) return;
  const words = `manifest image architecture: "${architecture ?? ''}" doesn't match requested architecture: "${wanted}"`;
  throw new Fault('ArchitectureMissing', words);
}
