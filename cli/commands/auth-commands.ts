// auth: what somebody may do, asked before it is tried.

import type { Command } from 'commander';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { askCanClone } from '../../domain/can-clone.ts';
import { type AccessReview, cloneNeeds } from '../../domain/clone-authorization.ts';
import { Fault } from '../../domain/fault.ts';
import type { ApiClient } from '../api-client.ts';
import type { CommandIo } from '../command-io.ts';
import { withService } from '../open-service.ts';
import { parseVolumeName, showName, type VolumeName } from '../volume-name.ts';
import { users } from './access-commands.ts';

const Answer = Compile(Type.Object({ status: Type.Object({ allowed: Type.Boolean() }) }));

export function addAuthCommands(program: Command, io: CommandIo): void {
  const auth = program
    .command('auth')
    .summary('ask what somebody may do')
    .description('Asks what somebody may do, before it is tried.');
  addCanClone(auth, io);
}

function addCanClone(parent: Command, io: CommandIo): void {
  const command = parent
    .command('can-clone')
    .summary('ask whether a clone would be allowed')
    .description('Says yes, or names the right that is missing (CloneForbidden). The source need not be there.')
    .argument('<source>', 'NAMESPACE/NAME of the volume to copy', parseVolumeName)
    .argument('<target>', 'NAMESPACE/NAME of the new volume', parseVolumeName)
    .option('--user <name>', 'of which user; default: yourself')
    .option('--snapshot', 'the source is a VolumeSnapshot');
  command.action(async (source: VolumeName, target: VolumeName) => {
    const { user, snapshot } = command.opts<{ user?: string; snapshot?: true }>();
    const needed = cloneNeeds(snapshot === true ? 'snapshot' : 'claim', source, target.namespace);
    await withService(io, command, async (client) => {
      // A name with a slip of the pen would look like somebody without rights.
      if (user !== undefined) await client.get(users, { name: user });
      const verdict = await askCanClone(needed, (right) => holds(client, user, right));
      const who = user ?? 'you';
      if (!verdict.allowed) {
        const detail = `${who} cannot clone ${showName(source)} into namespace ${target.namespace}: no right to ${verdict.missing}`;
        throw new Fault('CloneForbidden', detail);
      }
      io.stdout.write('yes\n');
    });
  });
}

/** @throws Fault Forbidden where one asks about somebody else and may not */
async function holds(client: ApiClient, user: string | undefined, right: AccessReview): Promise<boolean> {
  const kind = user === undefined ? 'SelfSubjectAccessReview' : 'SubjectAccessReview';
  const answer = await client.call<unknown>({
    method: 'POST',
    path: `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`,
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind,
      spec: { ...(user === undefined ? {} : { user }), resourceAttributes: right },
    },
  });
  if (!Answer.Check(answer)) throw new Fault('ServiceUnreachable', `the answer is no ${kind}`);
  return answer.status.allowed;
}
