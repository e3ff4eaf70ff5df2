// token, user and kubeconfig: who may do what.
import { type Command, Option } from 'commander';
import { Fault } from '../../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../../domain/object-store.ts';
import type { CommandIo } from '../command-io.ts';
import { dataDirectoryOf, withService } from '../open-service.ts';
import { addFormatOption, formatOf, listOf, showValue } from '../show-objects.ts';
import { textTable } from '../text-table.ts';
import { createTokenRequest, requireUploadTarget, tokenOf } from '../upload-token.ts';
import { parseVolumeName, type VolumeName } from '../volume-name.ts';

interface User extends KubeObject {
  spec: { role: string; namespaces?: string[] };
  status?: { token?: string };
}

export const users: ResourceRef<User> = {
  group: 'longshore.dev',
  version: 'v1alpha1',
  plural: 'users',
  kind: 'User',
  namespaced: false,
};

export function addAccessCommands(program: Command, io: CommandIo): void {
  addToken(program, io);
  addKubeconfig(program, io);
  const user = program
    .command('user')
    .summary('add, list and remove users')
    .description('Adds, lists and removes users of the API.');
  addUserAdd(user, io);
  addUserList(user, io);
  addUserRemove(user, io);
}

function addToken(program: Command, io: CommandIo): void {
  const command = program
    .command('token')
    .summary('print an upload token')
    .description('Prints a token that allows one upload into the volume, for a few minutes.')
    .argument('<name>', 'NAMESPACE/NAME', parseVolumeName);
  addFormatOption(command).action(async (name: VolumeName) => {
    await withService(io, command, async (client) => {
      await requireUploadTarget(client, name);
      const request = await createTokenRequest(client, name);
      await showValue(io.stdout, formatOf(command), request, () => `${tokenOf(request)}\n`);
    });
  });
}

function addKubeconfig(program: Command, io: CommandIo): void {
  const command = program
    .command('kubeconfig')
    .summary('print a kubeconfig for kubectl and virtctl')
    .description('Prints the kubeconfig of the service, for kubectl and virtctl.')
    .option('--path', 'print only where it lies')
    .action(async () => {
      const { readKubeconfig } = await import('../service-access.ts');
      const path = `${dataDirectoryOf(io, command)}/kubeconfig`;
      const text = await readKubeconfig(path);
      io.stdout.write(command.opts()['path'] === true ? `${path}\n` : text);
    });
}

function addUserAdd(parent: Command, io: CommandIo): void {
  const command = parent
    .command('add')
    .description('Adds a user and prints the bearer token, which is told only this once.')
    .argument('<user>', 'name of the user')
    .addOption(
      new Option('--role <role>', 'what the user may do').choices(['admin', 'edit', 'view']).makeOptionMandatory(),
    )
    .option('-n, --namespace <namespace...>', 'namespaces for which it holds; default: all');
  addFormatOption(command).action(async (name: string) => {
    const { role, namespace } = command.opts<{ role: string; namespace?: string[] }>();
    await withService(io, command, async (client) => {
      const user = await client.create(users, {
        apiVersion: 'longshore.dev/v1alpha1',
        kind: 'User',
        metadata: { name },
        spec: { role, ...(namespace === undefined ? {} : { namespaces: namespace }) },
      });
      const token = user.status?.token;
      if (token === undefined) throw new Fault('ServiceUnreachable', 'the answer holds no token');
      await showValue(io.stdout, formatOf(command), user, () => `${token}\n`);
    });
  });
}

function addUserList(parent: Command, io: CommandIo): void {
  const command = parent.command('list').description('Lists the users.');
  addFormatOption(command).action(async () => {
    await withService(io, command, async (client) => {
      const found = (await client.list(users)).items;
      const rows = found.map(({ metadata, spec }) => [metadata.name, spec.role, spec.namespaces?.join(',') ?? '(all)']);
      await showValue(io.stdout, formatOf(command), listOf(found), () =>
        textTable(['NAME', 'ROLE', 'NAMESPACES'], rows),
      );
    });
  });
}

function addUserRemove(parent: Command, io: CommandIo): void {
  const command = parent
    .command('remove')
    .description('Removes a user; the token is void at once.')
    .argument('<user>', 'name of the user')
    .action(async (name: string) => {
      await withService(io, command, (client) => client.delete(users, { name }));
      io.stdout.write(`${name}: removed\n`);
    });
}
