// One command's conversation with the service: opened late, so that --help and wrong usage cost nothing, and always closed.
import type { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import type { CommandIo } from './command-io.ts';

/** The --data of the whole program, else what the environment says. */
export function dataDirectoryOf(io: CommandIo, command: Command): string {
  const given: unknown = command.optsWithGlobals()['data'];
  return typeof given === 'string' ? given : io.dataDirectory;
}

/** @throws Fault ServiceUnreachable, and whatever `run` throws */
export async function withService<T>(
  io: CommandIo,
  command: Command,
  run: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const { readServiceAccess } = await import('./service-access.ts');
  const access = await readServiceAccess(dataDirectoryOf(io, command));
  const { ApiClient } = await import('./api-client.ts');
  const client = new ApiClient(access, io.signal);
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}
