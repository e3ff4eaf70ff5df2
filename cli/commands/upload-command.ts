// upload: makes a volume that waits for its bytes, sends the file through the upload proxy and follows it to its end. What waits already
// (another program made it, or a former upload broke) is used.
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import { resources } from '../../domain/resources.ts';
import type { ApiClient } from '../api-client.ts';
import type { CommandIo } from '../command-io.ts';
import { compressedBytes } from '../compressed-bytes.ts';
import { createInNamespace } from '../create-in-namespace.ts';
import { faultOf, followVolume } from '../follow-volume.ts';
import { inspectLocalImage, type LocalImage } from '../local-image.ts';
import { doneSentence, isDone, makeVolume, sizeFor, type VolumeWishes } from '../make-volume.ts';
import { withService } from '../open-service.ts';
import { ProgressDisplay } from '../progress-display.ts';
import { addFormatOption, formatOf, showValue } from '../show-objects.ts';
import { uploadReason } from '../upload-reason.ts';
import { requestToken, uploadProxyUrl } from '../upload-token.ts';
import { parseVolumeName, showName, type VolumeName } from '../volume-name.ts';
import { addDeviceOptions, archiveHelp, parseSize } from './transfer-commands.ts';

const chunkBytes = 1024 * 1024;
const uploadPath = '/v1beta1/upload-async';

interface UploadWishes extends VolumeWishes {
  compress?: boolean;
}

export function addUploadCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('upload')
    .summary('send an image file into a new volume')
    .description(
      'Sends an image file (raw, qcow2; also gz, xz, zst), or with --archive the files of a tar, into a new volume, or into one that waits for an upload.',
    )
    .argument('<file>', 'image file, or tar')
    .argument('<name>', 'NAMESPACE/NAME of the volume', parseVolumeName)
    .option('--size <quantity>', 'size of the volume; default: what the image says', parseSize)
    .option('--archive', archiveHelp)
    .option('--compress', 'compress the bytes on their way (zstd)');
  addFormatOption(addDeviceOptions(command)).action(async (path: string, name: VolumeName) => {
    const wishes = command.opts<UploadWishes>();
    const image = await inspectLocalImage(path, { archive: wishes.archive === true });
    const started = performance.now();
    await withService(io, command, async (client) => {
      const done = await uploadImage(io, client, name, image, wishes);
      const seconds = (performance.now() - started) / 1000;
      await showValue(io.stdout, formatOf(command), done, () => doneSentence(name, done, seconds));
    });
  });
}

/**
 * @returns the volume in phase Succeeded
 * @throws its fault, or that of the upload; the volume then still waits for its bytes, unless the fault says otherwise
 */
async function uploadImage(
  io: CommandIo,
  client: ApiClient,
  name: VolumeName,
  image: LocalImage,
  wishes: UploadWishes,
): Promise<DataVolume> {
  const display = new ProgressDisplay(io.stderr);
  const following = { client, display, signal: io.signal };
  try {
    await findOrMake(io, client, name, image, wishes);
    const waiting = await followVolume(name, isWaiting, following);
    const url = `${await uploadProxyUrl(client)}${uploadPath}`;
    const token = await requestToken(client, name);
    await sendBytes(client, waiting, name, image, { url, token, compress: wishes.compress === true }, display);
    return await followVolume(name, (volume) => isConverted(volume, waiting), following);
  } finally {
    display.clear();
  }
}

function isWaiting(volume: DataVolume): boolean {
  const phase = volume.status?.phase;
  if (phase === 'Succeeded') throw new Fault('UploadFinished', 'it is in phase Succeeded');
  return phase === 'UploadReady';
}

/** @throws the fault of the object where the bytes were refused after all, so that a later attempt waits for others */
function isConverted(volume: DataVolume, before: DataVolume): boolean {
  if (isDone(volume)) return true;
  const { attempt = 0, fault } = volume.status?.longshore ?? {};
  if (fault !== undefined && attempt > (before.status?.longshore?.attempt ?? 0)) throw faultOf(volume);
  return false;
}

async function findOrMake(
  io: CommandIo,
  client: ApiClient,
  name: VolumeName,
  image: LocalImage,
  wishes: VolumeWishes,
): Promise<void> {
  const existing = await client.find(resources.dataVolumes, name);
  if (existing !== undefined && existing.spec.source?.upload === undefined) {
    throw new Fault('AlreadyExists', `${showName(name)} exists and is no target of an upload`);
  }
  if (existing !== undefined) return assertWaitsFor(existing, name, wishes.archive === true);
  const size = wishes.size ?? (image.virtualSize === undefined ? undefined : sizeFor(image.virtualSize));
  if (size === undefined && wishes.archive !== true)
    throw new Fault('InvalidRequest', `the header of ${image.path} tells no size; name it with --size`);
  await createInNamespace(
    client,
    resources.dataVolumes,
    makeVolume(name, { upload: {} }, { ...wishes, size }),
    io.stderr,
  );
}

/** @throws Fault InvalidRequest before a byte is sent */
function assertWaitsFor({ spec }: DataVolume, name: VolumeName, archive: boolean): void {
  const wants = spec.contentType === 'archive';
  if (wants === archive) return;
  const wanted = wants ? 'the files of an archive: use --archive' : 'a disk image: leave --archive out';
  throw new Fault('InvalidRequest', `${showName(name)} waits for ${wanted}`);
}

async function sendBytes(
  client: ApiClient,
  waiting: DataVolume,
  name: VolumeName,
  image: LocalImage,
  to: { url: string; token: string; compress: boolean },
  display: ProgressDisplay,
): Promise<void> {
  const file = createReadStream(image.path, { highWaterMark: chunkBytes });
  const bytes = countedBytes(file, (bytesDone, seconds) => {
    const bytesPerSecond = Math.round(bytesDone / seconds);
    const etaSeconds = (image.bytes - bytesDone) / bytesPerSecond;
    display.update({
      label: showName(name),
      word: 'upload',
      bytesDone,
      bytesTotal: image.bytes,
      bytesPerSecond,
      etaSeconds,
    });
  });
  try {
    if (to.compress) await client.upload(to.url, to.token, compressedBytes(bytes));
    else await client.upload(to.url, to.token, bytes, image.bytes);
  } catch (error) {
    throw await uploadReason(client, name, waiting, error);
  } finally {
    file.destroy();
  }
}

/** The same bytes, told of as they pass. */
async function* countedBytes(
  bytes: Readable,
  onBytes: (bytesDone: number, seconds: number) => void,
): AsyncGenerator<Buffer> {
  const started = performance.now();
  let bytesDone = 0;
  for await (const chunk of bytes) {
    // Safe: a file stream without an encoding gives buffers.
    const buffer = chunk as Buffer;
    bytesDone += buffer.length;
    onBytes(bytesDone, Math.max(0.001, (performance.now() - started) / 1000));
    yield buffer;
  }
}
