// The demonstration: starts the whole service in .demo, imports, uploads and clones bootable disks through it, and compares every
// result with what qemu-img and sha256sum make of the source. Exit code 0 only if all agree. Leaves no process behind.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { textTable } from '../cli/text-table.ts';
import { describeBytes } from '../domain/quantity.ts';
import { expectedSha256, makeDemoImages } from './demo-images.ts';
import { startWebServer, type WebServer } from './demo-web-server.ts';
import { RunningService, repository } from './run-service.ts';

const volumeBytes = 16 * 1024 * 1024;
const size = '16Mi';
const webBytesPerSecond = 1.5 * 1024 * 1024;

interface Step {
  words: string[];
  namespace: string;
  name: string;
  /** The image whose content it must have. */
  image: string;
}

interface Result {
  step: Step;
  seconds: number;
  exitCode: number;
}

async function main(): Promise<number> {
  const directory = join(repository, '.demo');
  await rm(directory, { recursive: true, force: true });
  const images = join(directory, 'images');
  await mkdir(images, { recursive: true });
  const made = await makeDemoImages(images);
  const web = await startWebServer(images, webBytesPerSecond);
  const service = await RunningService.start(join(directory, 'data')).catch((error: unknown) => {
    web.close();
    throw error;
  });
  const stop = () => void service.stop().finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const results: Result[] = [];
    for (const step of planSteps(made, web)) results.push(await perform(service, step));
    return await report(service, results);
  } finally {
    await service.stop();
    web.close();
  }
}

function planSteps(images: Awaited<ReturnType<typeof makeDemoImages>>, web: WebServer): Step[] {
  const imported = (name: string, image: string): Step => ({
    words: ['import', web.urlOf(image), `images/${name}`, '--size', size, '--wait'],
    namespace: 'images',
    name,
    image,
  });
  return [
    imported('grub-qcow2', images.qcow2),
    imported('grub-xz', images.xz),
    imported('grub-zst', images.zst),
    {
      words: ['upload', images.uploaded, 'images/floppy', '--size', size],
      namespace: 'images',
      name: 'floppy',
      image: images.uploaded,
    },
    {
      words: ['clone', 'images/grub-qcow2', 'machines/grub', '--wait'],
      namespace: 'machines',
      name: 'grub',
      image: images.qcow2,
    },
  ];
}

async function perform(service: RunningService, step: Step): Promise<Result> {
  process.stdout.write(`$ longshore ${step.words.join(' ')}\n`);
  const { exitCode, seconds, stdout } = await service.show(step.words);
  process.stdout.write(stdout);
  return { step, seconds, exitCode };
}

interface VolumeJson {
  spec?: { source?: object };
  status?: { phase?: string; longshore?: { virtualSize?: number; allocatedBytes?: number } };
}

async function report(service: RunningService, results: readonly Result[]): Promise<number> {
  const rows: string[][] = [];
  let wrong = 0;
  for (const { step, seconds, exitCode } of results) {
    const expected = await expectedSha256(step.image, volumeBytes);
    const found = exitCode === 0 ? await look(service, step) : undefined;
    const agrees = found?.sha256 === expected && found.phase === 'Succeeded';
    if (!agrees) wrong += 1;
    rows.push([
      step.namespace,
      step.name,
      found?.source ?? '-',
      found?.phase ?? 'failed',
      found?.virtualSize ?? '-',
      found?.allocated ?? '-',
      found?.sha256 ?? '-',
      seconds.toFixed(1),
      agrees ? 'agrees' : `EXPECTED ${expected}`,
    ]);
  }
  const head = [
    'NAMESPACE',
    'NAME',
    'SOURCE',
    'PHASE',
    'SIZE',
    'ALLOCATED',
    'SHA256',
    'SECONDS',
    'QEMU-IMG + SHA256SUM',
  ];
  process.stdout.write(`\n${textTable(head, rows)}\n`);
  const verdict = wrong === 0 ? 'All agree.' : `${wrong} of ${rows.length} do not agree.`;
  process.stdout.write(`${verdict} What was made lies in .demo/data until the next run.\n`);
  return wrong === 0 ? 0 : 1;
}

async function look(service: RunningService, { namespace, name }: Step) {
  // Safe: the command prints the object itself, and a member that is missing shows in the table.
  const volume = (await service.json(['get', `${namespace}/${name}`])) as VolumeJson;
  // Safe: as documented for `longshore digest -o json`.
  const digests = (await service.json(['digest', `${namespace}/${name}`, '--sha256'])) as { sha256?: string };
  const { virtualSize, allocatedBytes } = volume.status?.longshore ?? {};
  return {
    phase: volume.status?.phase ?? '',
    source: Object.keys(volume.spec?.source ?? {})[0] ?? '-',
    virtualSize: virtualSize === undefined ? '-' : describeBytes(virtualSize),
    allocated: allocatedBytes === undefined ? '-' : describeBytes(allocatedBytes),
    sha256: digests.sha256?.replace(/^sha256:/, ''),
  };
}

process.exitCode = await main();
