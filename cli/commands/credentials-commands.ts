// credentials and certificates: what it takes to read a source, kept in the secrets and config maps that imports name. The secret part comes by standard
// input, so that it stands in no history of a shell and in no list of processes.
import type { Command } from 'commander';
import { Fault } from '../../domain/fault.ts';
import type { ConfigMap, Secret } from '../../domain/kube-shapes.ts';
import type { ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import type { ApiClient } from '../api-client.ts';
import type { CommandIo } from '../command-io.ts';
import { createInNamespace } from '../create-in-namespace.ts';
import { withService } from '../open-service.ts';
import { parseVolumeName, showName, type VolumeName } from '../volume-name.ts';

interface CredentialsOptions {
  user?: string;
  serviceAccount?: true;
  region?: string;
}

const certificateMark = '-----BEGIN CERTIFICATE-----';
/** What a secret may have at most, as Kubernetes has it. */
const mostBytes = 1_048_576;
/** All that an import reads of a secret that is named as `secretRef`. What is kept anew leaves none of the former ones: a region or a token of another key. */
const secretKeys = ['accessKeyId', 'secretKey', 'sessionToken', 'region', 'credentials.json'];

export function addCredentialsCommands(program: Command, io: CommandIo): void {
  addCredentials(program, io);
  addCertificates(program, io);
}

function addCredentials(program: Command, io: CommandIo): void {
  const command = program
    .command('credentials')
    .summary('keep what an import needs to read a source')
    .description(
      'Keeps a right to read sources as a secret, for `import --secret`. The password, the secret key or the key file of a service account is read from standard input.',
    )
    .argument('<name>', 'NAMESPACE/NAME of the secret', parseVolumeName)
    .option('--user <name>', 'user of a web server or registry, or access key id of S3')
    .option('--region <name>', 'region of the S3 server, where its name does not tell')
    .option('--service-account', 'standard input is the JSON key file of a service account of Google Cloud')
    .action(async (name: VolumeName) => {
      const options = command.opts<CredentialsOptions>();
      if ((options.user === undefined) === (options.serviceAccount === undefined)) {
        throw new Fault('InvalidRequest', 'either --user NAME or --service-account');
      }
      const data = dataOf(options, await readInput(io));
      const keep = { apiVersion: 'v1', kind: 'Secret', metadata: { ...name }, data } as const;
      await withService(io, command, (client) => createOrReplace(client, io, resources.secrets, keep, secretKeys));
      io.stdout.write(`secret ${showName(name)}: kept; use it with --secret ${name.name}\n`);
    });
}

function dataOf({ user, region }: CredentialsOptions, text: string): Record<string, string> {
  const told =
    user === undefined
      ? { 'credentials.json': text }
      : { accessKeyId: user, secretKey: text, ...(region === undefined ? {} : { region }) };
  return Object.fromEntries(Object.entries(told).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
}

function addCertificates(program: Command, io: CommandIo): void {
  const command = program
    .command('certificates')
    .summary('keep CAs that an import is to trust')
    .description('Keeps the certificates (PEM) on standard input as a config map, for `import --ca`.')
    .argument('<name>', 'NAMESPACE/NAME of the config map', parseVolumeName)
    .action(async (name: VolumeName) => {
      const text = await readInput(io);
      if (!text.includes(certificateMark)) {
        throw new Fault('InvalidRequest', 'standard input holds no certificate in PEM form');
      }
      const keep = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...name }, data: { 'ca.pem': text } } as const;
      await withService(io, command, async (client) => {
        const former = await client.find(resources.configMaps, name);
        await createOrReplace(client, io, resources.configMaps, keep, certificateKeysOf(former));
      });
      io.stdout.write(`config map ${showName(name)}: kept; use it with --ca ${name.name}\n`);
    });
}

/** What imports trust so far: all certificates of the config map, whatever their keys. What else lies in it is somebody's. */
function certificateKeysOf(map: ConfigMap | undefined): string[] {
  return Object.entries(map?.data ?? {}).flatMap(([key, text]) => (text.includes(certificateMark) ? [key] : []));
}

async function createOrReplace<T extends Secret | ConfigMap>(
  client: ApiClient,
  io: CommandIo,
  resource: ResourceRef<T>,
  object: T,
  formerKeys: readonly string[] = [],
): Promise<void> {
  try {
    await createInNamespace(client, resource, object, io.stderr);
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'AlreadyExists') throw error;
    const { namespace = 'default', name } = object.metadata;
    const without = Object.fromEntries(formerKeys.map((key) => [key, null]));
    await client.mergePatch(resource, { namespace, name }, { data: { ...without, ...object.data } });
  }
}

/** The text without the newline at its end. @throws Fault InvalidRequest where there is none or too much */
async function readInput({ stdin, stderr }: CommandIo): Promise<string> {
  if (stdin.isTTY === true) stderr.write('reading standard input; end it with Ctrl-D\n');
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of stdin) {
    pieces.push(piece);
    bytes += piece.byteLength;
    if (bytes > mostBytes) throw new Fault('InvalidRequest', `standard input has more than ${mostBytes} bytes`);
  }
  const text = Buffer.concat(pieces)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text === '') throw new Fault('InvalidRequest', 'standard input is empty');
  return text;
}
