// get, describe, events and path: what is there and how it is going.
import type { Command } from 'commander';
import { annotations } from '../../domain/annotations.ts';
import { Fault } from '../../domain/fault.ts';
import { resources } from '../../domain/resources.ts';
import type { CommandIo } from '../command-io.ts';
import { faultOf } from '../follow-volume.ts';
import { isDone } from '../make-volume.ts';
import { withService } from '../open-service.ts';
import { addFormatOption, formatOf, listOf, showValue } from '../show-objects.ts';
import { textTable } from '../text-table.ts';
import {
  type PartialName,
  parseNamespace,
  parsePartialName,
  parseVolumeName,
  showName,
  type VolumeName,
  withNamespace,
} from '../volume-name.ts';
import { byTime, eventHead, eventRow, volumeHead, volumeRow, wideVolumeHead, wideVolumeRow } from '../volume-rows.ts';

export function addInspectCommands(program: Command, io: CommandIo): void {
  addGet(program, io);
  addDescribe(program, io);
  addEvents(program, io);
  addPath(program, io);
}

function addGet(program: Command, io: CommandIo): void {
  const command = program
    .command('get')
    .summary('list volumes, or show one')
    .description('Lists the volumes of all namespaces, or shows one.')
    .argument('[name]', 'NAMESPACE/NAME', parsePartialName)
    .option('-n, --namespace <namespace>', 'list those of one namespace, or show one there', parseNamespace);
  addFormatOption(command, ['json', 'yaml', 'wide']).action(async (given: PartialName | undefined) => {
    const { namespace } = command.opts<{ namespace?: string }>();
    const name = given && withNamespace(given, namespace);
    const format = formatOf(command);
    await withService(io, command, async (client) => {
      const found =
        name === undefined
          ? (await client.list(resources.dataVolumes, namespace)).items
          : [await client.get(resources.dataVolumes, name)];
      const now = new Date();
      const head = format === 'wide' ? wideVolumeHead : volumeHead;
      const row = format === 'wide' ? wideVolumeRow : volumeRow;
      const table = () =>
        textTable(
          head,
          found.map((volume) => row(volume, now)),
        );
      await showValue(io.stdout, format, name === undefined ? listOf(found) : found[0], () =>
        found.length === 0 ? 'There are no volumes yet.\n' : table(),
      );
    });
  });
}

function addDescribe(program: Command, io: CommandIo): void {
  const command = program
    .command('describe')
    .summary('tell everything about a volume')
    .description('Tells everything about a volume: sizes, digests, conditions, fault, steps and events.')
    .argument('<name>', 'NAMESPACE/NAME', parseVolumeName);
  addFormatOption(command).action(async (name: VolumeName) => {
    await withService(io, command, async (client) => {
      const volume = await client.get(resources.dataVolumes, name);
      const claim = await client.find(resources.claims, name);
      const events = (await client.list(resources.events, name.namespace, aboutVolume(name))).items;
      const { describeVolume } = await import('../describe-volume.ts');
      await showValue(io.stdout, formatOf(command), volume, () => describeVolume(volume, claim, events, new Date()));
    });
  });
}

function aboutVolume(name: VolumeName): Record<string, string> {
  return { fieldSelector: `involvedObject.name=${name.name}` };
}

function addEvents(program: Command, io: CommandIo): void {
  const command = program
    .command('events')
    .summary('list what happened')
    .description('Lists what happened to one volume or to all, the newest last.')
    .argument('[name]', 'NAMESPACE/NAME', parsePartialName)
    .option('-n, --namespace <namespace>', 'list those of one namespace, or show one there', parseNamespace);
  addFormatOption(command).action(async (given: PartialName | undefined) => {
    const { namespace } = command.opts<{ namespace?: string }>();
    const name = given && withNamespace(given, namespace);
    await withService(io, command, async (client) => {
      const query = name === undefined ? {} : aboutVolume(name);
      const found = (await client.list(resources.events, name?.namespace ?? namespace, query)).items.sort(byTime);
      const now = new Date();
      await showValue(io.stdout, formatOf(command), listOf(found), () =>
        found.length === 0
          ? 'There are no events.\n'
          : textTable(
              eventHead,
              found.map((event) => eventRow(event, now)),
            ),
      );
    });
  });
}

function addPath(program: Command, io: CommandIo): void {
  const command = program
    .command('path')
    .summary('tell where the disk or the files of a volume lie')
    .description(
      'Tells the path of the disk of a volume on its node, or of the directory of its files, once it is filled.',
    )
    .argument('<name>', 'NAMESPACE/NAME', parseVolumeName)
    .action(async (name: VolumeName) => {
      await withService(io, command, async (client) => {
        const claim = await client.get(resources.claims, name);
        const path = claim.metadata.annotations?.[annotations.path];
        if (path === undefined) throw new Fault('VolumeNotFilled', `${showName(name)} has no disk yet`);
        const volume = await client.find(resources.dataVolumes, name);
        if (volume?.status?.phase === 'Failed') throw faultOf(volume);
        if (volume !== undefined && !isDone(volume)) {
          throw new Fault('VolumeNotFilled', `${showName(name)} is in phase ${volume.status?.phase ?? 'Pending'}`);
        }
        io.stdout.write(`${path}\n`);
      });
    });
}
