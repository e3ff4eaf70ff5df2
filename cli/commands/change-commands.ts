// delete and cancel.
import { type Command, Option } from 'commander';
import { annotations } from '../../domain/annotations.ts';
import { Fault } from '../../domain/fault.ts';
import { resources } from '../../domain/resources.ts';
import type { ApiClient } from '../api-client.ts';
import type { CommandIo } from '../command-io.ts';
import { withService } from '../open-service.ts';
import { parseVolumeName, showName, type VolumeName } from '../volume-name.ts';

export function addChangeCommands(program: Command, io: CommandIo): void {
  addDelete(program, io);
  addCancel(program, io);
}

function addDelete(program: Command, io: CommandIo): void {
  const command = program
    .command('delete')
    .summary('remove volumes and their disks')
    .description('Removes volumes and their disks; what runs for them is ended.')
    .argument('<names...>', 'NAMESPACE/NAME …', collectNames)
    .action(async (names: VolumeName[]) => {
      await withService(io, command, async (client) => {
        const missing: Fault[] = [];
        for (const name of names) {
          const fault = await deleteVolume(client, name);
          if (fault === undefined) io.stdout.write(`${showName(name)}: deleted\n`);
          else missing.push(fault);
        }
        if (missing.length > 0) throw new Fault('NotFound', missing.map(({ detail }) => detail).join('; '));
      });
    });
}

/** @returns NotFound where there is none, so that the others are deleted all the same */
async function deleteVolume(client: ApiClient, name: VolumeName): Promise<Fault | undefined> {
  try {
    await client.delete(resources.dataVolumes, name);
    return undefined;
  } catch (error) {
    if (error instanceof Fault && error.code === 'NotFound') return error;
    throw error;
  }
}

function collectNames(text: string, before: VolumeName[] | undefined): VolumeName[] {
  return [...(before ?? []), parseVolumeName(text)];
}

function addCancel(program: Command, io: CommandIo): void {
  const command = program
    .command('cancel')
    .summary('end the import, upload or clone of a volume')
    .description(
      'Ends the import, upload or clone of a volume; nothing of it stays on disk. The object stays, in phase Failed.',
    )
    .argument('<name>', 'NAMESPACE/NAME', parseVolumeName)
    .addOption(new Option('--reason <text>', 'told on the object').default('asked by the command line'))
    .action(async (name: VolumeName) => {
      const { reason } = command.opts<{ reason: string }>();
      await withService(io, command, async (client) => {
        const { status } = await client.get(resources.dataVolumes, name);
        if (status?.phase === 'Succeeded' || status?.phase === 'Failed') {
          io.stdout.write(`${showName(name)}: is ${status.phase} already; there is nothing to cancel\n`);
          return;
        }
        await client.mergePatch(resources.dataVolumes, name, {
          metadata: { annotations: { [annotations.cancel]: reason } },
        });
        io.stdout.write(`${showName(name)}: cancelled\n`);
      });
    });
}
