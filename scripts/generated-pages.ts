// The pages of docs/generated, made from the tables that the code itself reads: faults, settings, metrics, jobs and calls.
import { exitCodes, faultCatalogue } from '../domain/fault-catalogue.ts';
import { SourceVersion } from '../domain/source-version.ts';
import { TransferReport, VolumeOwner, VolumeRecord } from '../domain/volume-record.ts';
import * as inputs from '../jobs/attempt-inputs.ts';
import * as channel from '../jobs/channel-protocol.ts';
import { JobPayload, jobIdOf, queueNameOf } from '../jobs/payload.ts';
import { HttpInputs, SourceInputs } from '../jobs/source-inputs.ts';
import { settings } from '../runtime/config.ts';
import { metricDefinitions } from '../runtime/metrics.ts';
import { describeSchema } from './describe-schema.ts';

const note = '<!-- Made by `npm run docs` from the code. Do not edit. -->\n';

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

function page(title: string, intro: string, ...parts: string[]): string {
  return [note, `# ${title}\n`, `${intro}\n`, ...parts].join('\n');
}

function errorsPage(): string {
  const faults = Object.entries(faultCatalogue).map(([code, row]) => [
    `\`${code}\``,
    row.sentence,
    row.nextStep,
    row.retryable ? 'yes' : 'no',
    String(row.http),
    row.grpc,
    String(row.exit),
  ]);
  const exits = Object.values(exitCodes).map(({ code, meaning }) => [String(code), meaning]);
  return page(
    'Errors',
    'Every failure has one of these codes. It stands in `status.longshore.fault.code` of a DataVolume, in the body of an HTTP answer, in the log, and first in what the\n' +
      '`longshore` command prints. A failure that may pass by itself is tried again, with growing delays; any other ends after one attempt.',
    table(['Code', 'What happened', 'What to do', 'May pass by itself', 'HTTP', 'gRPC', 'Exit'], faults),
    '## Exit codes of `longshore`\n',
    table(['Exit', 'Meaning'], [['0', 'success'], ...exits]),
  );
}

function settingsPage(): string {
  const rows = Object.values(settings).map(({ variable, fallback, meaning }) => [
    `\`${variable}\``,
    fallback === '' ? '' : `\`${fallback}\``,
    meaning,
  ]);
  return page(
    'Settings',
    'Every setting is a variable of the environment. An unset or empty one has its default; one that cannot be used ends the process with `InvalidSetting`.',
    table(['Variable', 'Default', 'Meaning'], rows),
  );
}

function metricsPage(): string {
  const rows = metricDefinitions.map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ]);
  return page(
    'Metrics',
    'Every process serves these at `/metrics` on its own port, in the text format of Prometheus, beside `/livez` and `/readyz`. A metric that a process never touched is not shown.',
    table(['Name', 'Type', 'Labels', 'Meaning'], rows),
  );
}

/** Shapes that calls share, by the name that they have in the code. */
const shapes: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [VolumeRecord, 'VolumeRecord'],
  [VolumeOwner, 'VolumeOwner'],
  [TransferReport, 'TransferReport'],
  [inputs.AttemptInputs, 'AttemptInputs'],
  [inputs.ImportInputs, 'ImportInputs'],
  [inputs.ConvertInputs, 'ConvertInputs'],
  [inputs.CloneInputs, 'CloneInputs'],
  [SourceInputs, 'SourceInputs'],
  [HttpInputs, 'HttpInputs'],
  [SourceVersion, 'SourceVersion'],
  [inputs.BlankInputs, 'BlankInputs'],
  [channel.Inventory, 'Inventory'],
  [channel.PoolUsage, 'PoolUsage'],
  [channel.Finding, 'Finding'],
  [channel.Outcome, 'Outcome'],
  [channel.FaultShape, 'Fault'],
]);

type Calls = typeof channel.workerCalls | typeof channel.controllerCalls;

function callsTable(calls: Calls): string {
  const rows = Object.entries(calls).map(([name, { about, params, result }]) => [
    `\`${name}\``,
    about,
    `\`${describeSchema(params, shapes)}\``,
    `\`${describeSchema(result, shapes)}\``,
  ]);
  return table(['Call', 'What it does', 'Parameters', 'Result'], rows);
}

function jobsPage(): string {
  const job = { volumeId: 'pvc-UID', attempt: 1 };
  return page(
    'Jobs and calls',
    'Controller and worker have a queue for each node, in Redis, and one channel. A job holds ids only; the worker asks for the rest over the channel.',
    `## Jobs\n\nQueue of a node: \`${queueNameOf('NODE')}\`. Id of a job: \`${jobIdOf(job)}\` (volume and attempt), so that adding it twice is adding it once.\n`,
    `Payload: \`${describeSchema(JobPayload, shapes)}\`\n`,
    `## Calls of the controller to a worker\n\nJSON-RPC 2.0 over mTLS, protocol version ${channel.channelVersion}. Every call may be repeated.\n`,
    callsTable(channel.workerCalls),
    '## Calls of a worker to the controller\n',
    callsTable(channel.controllerCalls),
    `Progress is told by the notification \`${channel.progressNotification}\`: \`${describeSchema(channel.Progress, shapes)}\`\n`,
    '## Shapes\n',
    table(
      ['Name', 'Shape'],
      [...shapes].map(([schema, name]) => [name, `\`${describeSchema(schema, shapes, true)}\``]),
    ),
  );
}

/** Every generated page: its file name and what it holds. */
export function generatedPages(): ReadonlyMap<string, string> {
  return new Map([
    ['errors.md', errorsPage()],
    ['settings.md', settingsPage()],
    ['metrics.md', metricsPage()],
    ['jobs.md', jobsPage()],
  ]);
}
