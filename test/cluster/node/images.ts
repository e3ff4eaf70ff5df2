// The images that a cluster without a registry needs, made from what lies on this machine: one program each, packed once and kept beside the
// programs. Those of Kubernetes' own registry bear the names that manifests call them by, so a chart finds them as it is.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type LayerContent, packLayer } from '../../../scripts/image/layer.ts';
import { writeOciArchive } from '../../../scripts/image/oci-archive.ts';
import { runCommand } from '../../../scripts/image/run-command.ts';
import { cacheDirectory, moduleVersion } from '../build-programs.ts';
import { exists } from '../paths.ts';

/** An OCI archive, and the reference by which pods name what is in it. */
export interface ImageArchive {
  reference: string;
  archive: string;
}

/** What every pod's sandbox is made from. */
export const pauseImage = 'localhost/pause:1';
/** A shell and the usual small programs, for the pods of tests. */
export const busyboxImage = 'localhost/busybox:1';

interface ProgramImage {
  reference: string;
  /** Its layer depends on nothing else. */
  key: string;
  program: string;
  fill(root: string): Promise<void>;
}

/** @param companions the directory of the compiled companions */
export async function imageArchives(companions: string): Promise<ImageArchive[]> {
  const archives = [await busyboxArchive()];
  for (const image of await companionImages(companions)) archives.push(await archiveOf(image));
  return archives;
}

export async function busyboxArchive(): Promise<ImageArchive> {
  return archiveOf(await busybox());
}

async function archiveOf(image: ProgramImage): Promise<ImageArchive> {
  const directory = join(cacheDirectory(), 'images');
  await mkdir(directory, { recursive: true });
  const archive = join(directory, `${image.program}-${image.key}.oci.tar`);
  if (!(await exists(archive))) await writeImage(image, archive);
  return { reference: image.reference, archive };
}

/** The reference of CoreDNS, as the cluster's base names it. */
export async function corednsImage(): Promise<string> {
  return `registry.k8s.io/coredns/coredns:${await moduleVersion('companions', 'github.com/coredns/coredns')}`;
}

const sidecarModules = {
  'csi-provisioner': 'github.com/kubernetes-csi/external-provisioner/v5',
  'csi-resizer': 'github.com/kubernetes-csi/external-resizer',
  'csi-snapshotter': 'github.com/kubernetes-csi/external-snapshotter/v8',
  'snapshot-controller': 'github.com/kubernetes-csi/external-snapshotter/v8',
} as const;

async function companionImages(companions: string): Promise<ProgramImage[]> {
  const references: Record<string, string> = { pause: pauseImage, coredns: await corednsImage() };
  for (const [name, module] of Object.entries(sidecarModules)) {
    references[name] = `registry.k8s.io/sig-storage/${name}:${await moduleVersion('companions', module)}`;
  }
  const key = basename(companions).split('-').at(-1) ?? '';
  return Object.entries(references).map(([program, reference]) => ({
    reference,
    key,
    program,
    fill: (root) => copyFile(join(companions, program), join(root, program)),
  }));
}

/** Debian's, linked statically; each of its programs is a link to it. */
async function busybox(): Promise<ProgramImage> {
  const file = '/bin/busybox';
  const key = createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
    .slice(0, 16);
  const fill = async (root: string) => {
    await mkdir(join(root, 'bin'));
    await copyFile(file, join(root, 'bin/busybox'));
    for (const name of (await runCommand(file, ['--list'])).trim().split('\n')) {
      if (name !== 'busybox') await symlink('busybox', join(root, 'bin', name));
    }
    await mkdir(join(root, 'etc'));
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  };
  return { reference: busyboxImage, key, program: 'busybox', fill };
}

async function writeImage(image: ProgramImage, archive: string): Promise<void> {
  const scratch = await mkdtemp(`${archive}.`);
  try {
    const content: LayerContent = { name: image.program, root: join(scratch, 'root'), date: 0 };
    await mkdir(join(content.root, 'tmp'), { recursive: true });
    await image.fill(content.root);
    const layer = await packLayer(content, scratch);
    await writeOciArchive(factsOf(image), [layer], join(scratch, 'layout'), join(scratch, 'image'));
    await rename(join(scratch, 'image'), archive);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function factsOf({ program, reference, key }: ProgramImage) {
  return {
    name: program,
    version: reference.split(':').at(-1) ?? '',
    description: `${program}, for the test cluster`,
    licenses: program === 'busybox' ? 'GPL-2.0-only' : 'Apache-2.0',
    revision: key,
    date: 0,
    user: '',
    entrypoint: program === 'busybox' ? [] : [`/${program}`],
    environment: { PATH: '/bin' },
    ports: [],
  };
}
