// digest and doctor: is the content what it should be, and does anything lie about.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Fault, type FaultRecord, faultFromRecord } from '../../domain/fault.ts';
import { describeBytes } from '../../domain/quantity.ts';
import { resources } from '../../domain/resources.ts';
import type { CommandIo } from '../command-io.ts';
import type { FileDigests } from '../file-digest.ts';
import { withService } from '../open-service.ts';
import { addFormatOption, formatOf, showValue } from '../show-objects.ts';
import { textTable } from '../text-table.ts';
import { parseVolumeName, showName, type VolumeName } from '../volume-name.ts';

interface DoctorPool {
  name: string;
  directory: string;
  usage?: { capacityBytes: number; reservedBytes: number; usedBytes: number; freeBytes: number; enforcement: string };
  fault?: FaultRecord;
}

interface Doctor {
  nodes?: { node: string; fault?: FaultRecord; pools?: DoctorPool[] }[];
  findings: {
    node: string;
    pool: string;
    kind: string;
    path: string;
    bytes: number;
    ageSeconds: number;
    detail: string;
  }[];
}

const ownApi = '/apis/longshore.dev/v1alpha1';

export function addCheckCommands(program: Command, io: CommandIo): void {
  addDigest(program, io);
  addDoctor(program, io);
}

function addDigest(program: Command, io: CommandIo): void {
  const command = program
    .command('digest')
    .summary('print the content digest of a file or a volume')
    .description(
      'Prints the content digest of a raw disk file or of what is in a volume now. A name with a file behind it is a file.',
    )
    .argument('<what>', 'FILE or NAMESPACE/NAME')
    .option('--sha256', 'also the sha256 of all bytes, which takes longer');
  addFormatOption(command).action(async (what: string) => {
    const sha256 = command.opts()['sha256'] === true;
    const { digestFile, isFile } = await import('../file-digest.ts');
    const digests = (await isFile(what))
      ? await digestFile(what, sha256, io.signal)
      : await volumeDigest(io, command, volumeNamed(what), sha256);
    await showValue(io.stdout, formatOf(command), digests, () => linesOf(digests, what));
  });
}

function volumeNamed(text: string): VolumeName {
  try {
    return parseVolumeName(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new Fault('InvalidRequest', `${text} is no file and no NAMESPACE/NAME`, { cause: error });
  }
}

function linesOf(digests: FileDigests, what: string): string {
  const sha256 = digests.sha256 === undefined ? '' : `sha256:${digests.sha256.replace(/^sha256:/, '')}  ${what}\n`;
  return `${digests.contentDigest}  ${what}\n${sha256}`;
}

async function volumeDigest(io: CommandIo, command: Command, name: VolumeName, sha256: boolean): Promise<FileDigests> {
  const path = `${ownApi}/namespaces/${name.namespace}/${resources.dataVolumes.plural}/${name.name}/digest`;
  const query: Record<string, string> = sha256 ? { sha256: 'true' } : {};
  return withService(io, command, async (client) => {
    if ((await client.find(resources.claims, name)) === undefined) {
      throw new Fault('NotFound', `there is no such file, and no volume ${showName(name)}`);
    }
    return client.call<FileDigests>({ method: 'GET', path, query });
  });
}

function addDoctor(program: Command, io: CommandIo): void {
  const command = program
    .command('doctor')
    .summary('look for what is wrong')
    .description('Looks whether the service answers, and for what lies on the pools and belongs to nothing.');
  command.option('--remove <path>', 'remove what was found at this path, and nothing else');
  command.addOption(
    new Option('--restore <path>', 'make the claim of the volume that was found at this path anew').conflicts('remove'),
  );
  command.option('--pool <name>', 'the pool of that path, where several have one such');
  addFormatOption(command).action(async () => {
    const { remove, restore, pool } = command.opts<{ remove?: string; restore?: string; pool?: string }>();
    const path = `${ownApi}/doctor`;
    const answer = await withService(io, command, (client) => client.call<Doctor>({ method: 'GET', path }));
    const at = remove ?? restore;
    if (at !== undefined) {
      const query = findingAt(answer, at, pool);
      const [method, done] = remove === undefined ? (['POST', 'restored'] as const) : (['DELETE', 'removed'] as const);
      await withService(io, command, (client) => client.call({ method, path, query }));
      io.stdout.write(`${query.path}: ${done} from pool ${query.pool} of node ${query.node}\n`);
      return;
    }
    const fault = answer.nodes?.find((node) => node.fault !== undefined)?.fault;
    await showValue(
      io.stdout,
      formatOf(command),
      answer,
      () => `${poolsTable(answer)}${findingsTable(answer, fault === undefined)}`,
    );
    if (fault !== undefined) throw faultFromRecord(fault);
  });
}

/** @throws Fault NotFound, InvalidRequest where several are there */
function findingAt({ findings }: Doctor, path: string, pool: string | undefined) {
  const [found, other] = findings.filter((one) => one.path === path && (pool === undefined || one.pool === pool));
  if (found === undefined) throw new Fault('NotFound', `nothing without an owner is at ${path}`);
  if (other !== undefined) throw new Fault('InvalidRequest', `${path} is in several pools; name one by --pool`);
  return { node: found.node, pool: found.pool, path };
}

function poolsTable({ nodes = [] }: Doctor): string {
  const rows = nodes.flatMap(({ node, pools = [] }) =>
    pools.map(({ name, directory, usage, fault }) => [node, name, ...roomOf(usage), fault?.code ?? 'Ready', directory]),
  );
  const head = ['NODE', 'POOL', 'CAPACITY', 'RESERVED', 'USED', 'FREE', 'ENFORCEMENT', 'STATE', 'DIRECTORY'];
  return rows.length === 0 ? '' : `${textTable(head, rows)}\n`;
}

function roomOf(usage: DoctorPool['usage']): string[] {
  if (usage === undefined) return ['-', '-', '-', '-', '-'];
  const { capacityBytes, reservedBytes, usedBytes, freeBytes, enforcement } = usage;
  return [...[capacityBytes, reservedBytes, usedBytes, freeBytes].map(describeBytes), enforcement];
}

function findingsTable({ findings }: Doctor, allSeen: boolean): string {
  if (findings.length === 0 && !allSeen) return '';
  if (findings.length === 0) return 'The service answers, and nothing lies about.\n';
  const rows = findings.map(({ pool, kind, path, bytes, detail }) => [kind, pool, describeBytes(bytes), path, detail]);
  return textTable(['KIND', 'POOL', 'SIZE', 'PATH', 'DETAIL'], rows);
}
