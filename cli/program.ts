// The `longshore` command: every subcommand put together, and how one run of it ends.
import { Argument, Command, CommanderError } from 'commander';
import { Fault, toFault } from '../domain/fault.ts';
import { faultCatalogue } from '../domain/fault-catalogue.ts';
import type { CommandIo } from './command-io.ts';
import { addAccessCommands } from './commands/access-commands.ts';
import { addAuthCommands } from './commands/auth-commands.ts';
import { addChangeCommands } from './commands/change-commands.ts';
import { addCheckCommands } from './commands/check-commands.ts';
import { addCredentialsCommands } from './commands/credentials-commands.ts';
import { addInspectCommands } from './commands/inspect-commands.ts';
import { addTransferCommands } from './commands/transfer-commands.ts';
import { addUploadCommand } from './commands/upload-command.ts';
import { completionScript, type Shell } from './completion.ts';
import { showFault, showStopped } from './show-fault.ts';

export function buildProgram(io: CommandIo): Command {
  const program = new Command('longshore')
    .description(
      "Puts disk images into the volumes of virtual machines; speaks the API of KubeVirt's Containerized Data Importer.",
    )
    .version(io.version, '--version', 'print the version')
    .option('--data <directory>', `data directory of the service (default: LONGSHORE_DATA, here ${io.dataDirectory})`)
    .showHelpAfterError('(--help tells what is possible)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
    });
  addServiceCommands(program);
  addTransferCommands(program, io);
  addUploadCommand(program, io);
  addInspectCommands(program, io);
  addChangeCommands(program, io);
  addAccessCommands(program, io);
  addAuthCommands(program, io);
  addCredentialsCommands(program, io);
  addCheckCommands(program, io);
  addCompletion(program, io);
  return program;
}

/** Programs of their own, which bin/longshore starts; here for help and completion, and for words that they do not take. */
function addServiceCommands(program: Command): void {
  addService(program, 'up', 'start the whole service on this machine and watch over it');
  addService(program, 'api', 'run only the API with the controller');
  addService(program, 'uploadproxy', 'run only the upload proxy');
  addService(program, 'worker', 'run only a worker');
  const summary = 'run one process of a service on Kubernetes, as the chart does';
  const cluster = program
    .command('cluster')
    .summary(summary)
    .description(`${summary}; settings come from the environment`);
  addService(cluster, 'api', 'admission webhooks and upload tokens, for kube-apiserver');
  addService(cluster, 'controller', 'the controller; one of several leads');
  addService(cluster, 'uploadproxy', 'the upload proxy');
  addService(cluster, 'worker', 'the worker of a node, with the CSI driver');
}

function addService(parent: Command, name: string, summary: string): void {
  const settings = 'its settings come from the environment (docs/generated/settings.md)';
  const description = name === 'up' ? summary : `${summary}; ${settings}`;
  parent
    .command(name)
    .summary(summary)
    .description(description)
    .action(() => {
      throw new Fault('InvalidRequest', `nothing stands before or after \`${name}\`: ${settings}`);
    });
}

function addCompletion(program: Command, io: CommandIo): void {
  program
    .command('completion')
    .summary('print a completion script for your shell')
    .description('Prints a completion script for your shell; for bash: eval "$(longshore completion bash)"')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action((shell: Shell) => {
      io.stdout.write(completionScript(program, shell));
    });
}

/**
 * Runs the command.
 * @param words what follows `longshore` on the command line
 * @returns the exit code: 0, or that of the fault's row in the catalogue
 */
export async function runProgram(io: CommandIo, words: readonly string[]): Promise<number> {
  try {
    await buildProgram(io).parseAsync([...words], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : faultCatalogue.InvalidRequest.exit;
    if (io.signal.aborted) return showStopped(io.stderr);
    return showFault(toFault(error, { signal: io.signal }), io.stderr);
  }
}
