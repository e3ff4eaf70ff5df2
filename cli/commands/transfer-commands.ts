// import, clone and blank: ask for a volume, and with --wait follow it to its end.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { annotations } from '../../domain/annotations.ts';
import { parseChecksum } from '../../domain/checksum.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import { quantityBytes } from '../../domain/quantity.ts';
import { resources } from '../../domain/resources.ts';
import type { ApiClient } from '../api-client.ts';
import type { CommandIo } from '../command-io.ts';
import { createInNamespace } from '../create-in-namespace.ts';
import { followVolume } from '../follow-volume.ts';
import { doneSentence, isDone, makeVolume, type VolumeWishes } from '../make-volume.ts';
import { addSourceOptions, namedImage, parseSourceUrl, type SourceOptions, urlHelp } from '../named-image.ts';
import { withService } from '../open-service.ts';
import { sizeOfSource } from '../probe-source.ts';
import { ProgressDisplay } from '../progress-display.ts';
import { addFormatOption, formatOf, showValue } from '../show-objects.ts';
import { parseVolumeName, showName, type VolumeName } from '../volume-name.ts';

/** For commander. */
export function parseSize(text: string): string {
  const bytes = quantityBytes(text);
  if (bytes === undefined || bytes < 1) throw new InvalidArgumentError('expected a size such as 10Gi or 500M.');
  return text;
}

function parseChecksumOption(text: string): string {
  const parsed = parseChecksum(text);
  if ('problem' in parsed) throw new InvalidArgumentError(`${parsed.problem}.`);
  return text;
}

/** Of every command that makes a volume. */
export function addDeviceOptions(command: Command): Command {
  return command
    .option('--block', 'a block device in place of a file (volumeMode Block); the service needs root for it')
    .addOption(
      new Option('--sector-size <bytes>', 'logical sectors of the block device; default: 512').choices(['512', '4096']),
    );
}

/** Of import and upload. */
export const archiveHelp =
  'unpack the files of a tar (also gz, xz, zst, bz2) into the volume, which then holds no disk';

const waitHelp = 'follow it to its end and show the progress';

export function addTransferCommands(program: Command, io: CommandIo): void {
  addImport(program, io);
  addClone(program, io);
  addBlank(program, io);
}

function addImport(program: Command, io: CommandIo): void {
  const command = program
    .command('import')
    .summary('fetch an image from a web server, an object store or a registry into a new volume')
    .description(
      'Fetches an image (raw, qcow2, vmdk, vdi, vhd, vhdx; also packed with gz, xz, zst or bz2) from a web server, S3 or Google Cloud Storage, or the disk of a container image from a registry, into a new volume; or, with --archive, the files of a tar.',
    )
    .argument('<url>', urlHelp, parseSourceUrl)
    .argument('<name>', 'NAMESPACE/NAME of the new volume', parseVolumeName)
    .option('--size <quantity>', 'size of the volume as the guest sees it; default: what the image says', parseSize)
    .option('--checksum <algorithm:hex>', 'what the bytes must be, as they are served', parseChecksumOption)
    .option('--archive', archiveHelp)
    .option('--wait', waitHelp);
  addFormatOption(addSourceOptions(addDeviceOptions(command))).action(async (url: string, name: VolumeName) => {
    const options = command.opts<VolumeWishes & SourceOptions>();
    const { source, checksum } = namedImage(url, options);
    await createAndFollow(io, command, name, async (client) => {
      if (options.archive === true) return makeVolume(name, source, { ...options, checksum });
      const size = options.size ?? (await sizeOfSource(client, source, name.namespace));
      return makeVolume(name, source, { ...options, size, checksum });
    });
  });
}

function addClone(program: Command, io: CommandIo): void {
  const command = program
    .command('clone')
    .summary('copy a volume into a new one')
    .description('Copies a volume into a new one of the same or another namespace.')
    .argument('<source>', 'NAMESPACE/NAME of the volume to copy', parseVolumeName)
    .argument('<name>', 'NAMESPACE/NAME of the new volume', parseVolumeName)
    .option('--size <quantity>', "size of the new volume; default: the source's", parseSize)
    .option('--wait', waitHelp);
  addFormatOption(addDeviceOptions(command)).action(async (source: VolumeName, name: VolumeName) => {
    const wishes = command.opts<VolumeWishes>();
    await createAndFollow(io, command, name, async (client) =>
      makeVolume(name, { pvc: { ...source } }, { ...wishes, archive: await isArchive(client, source) }),
    );
  });
}

/** A clone is of the same content type as its source; the service tells where there is none or where it may not be seen. */
async function isArchive(client: ApiClient, source: VolumeName): Promise<boolean> {
  try {
    const claim = await client.find(resources.claims, source);
    return claim?.metadata.annotations?.[annotations.contentType] === 'archive';
  } catch (error) {
    if (error instanceof Fault && error.code === 'Forbidden') return false;
    throw error;
  }
}

function addBlank(program: Command, io: CommandIo): void {
  const command = program
    .command('blank')
    .summary('make an empty volume')
    .description('Makes a volume that holds only zeros.')
    .argument('<name>', 'NAMESPACE/NAME of the new volume', parseVolumeName)
    .requiredOption('--size <quantity>', 'size of the volume, such as 10Gi', parseSize)
    .option('--wait', waitHelp);
  addFormatOption(addDeviceOptions(command)).action(async (name: VolumeName) => {
    const wishes = command.opts<VolumeWishes>();
    await createAndFollow(io, command, name, () => makeVolume(name, { blank: {} }, wishes));
  });
}

async function createAndFollow(
  io: CommandIo,
  command: Command,
  name: VolumeName,
  ask: (client: ApiClient) => DataVolume | Promise<DataVolume>,
): Promise<void> {
  const started = performance.now();
  await withService(io, command, async (client) => {
    const made = await createInNamespace(client, resources.dataVolumes, await ask(client), io.stderr);
    if (command.opts()['wait'] !== true) {
      const next = `follow it with: longshore get ${showName(name)}`;
      return showValue(io.stdout, formatOf(command), made, () => `${showName(name)}: asked for; ${next}\n`);
    }
    const done = await followToEnd(io, client, name);
    const seconds = (performance.now() - started) / 1000;
    return showValue(io.stdout, formatOf(command), done, () => doneSentence(name, done, seconds));
  });
}

/** @returns the volume in phase Succeeded. @throws its fault */
async function followToEnd(io: CommandIo, client: ApiClient, name: VolumeName): Promise<DataVolume> {
  const display = new ProgressDisplay(io.stderr);
  try {
    return await followVolume(name, isDone, { client, display, signal: io.signal });
  } finally {
    display.clear();
  }
}
