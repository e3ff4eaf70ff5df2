// `longshore up`: a whole service on one machine. Makes the data directory and the certificates, starts Redis, API (with the controller),
// upload proxy and worker, starts again what dies, kills what hangs, and ends them in order. Needs no root.
import { extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Fault, faultText, toFault } from '../domain/fault.ts';
import { CertificateAuthority } from '../runtime/certificates.ts';
import { type Config, loadConfig } from '../runtime/config.ts';
import { chooseDataDirectory, type DataLayout, layoutOf, makeDirectories } from '../runtime/data-directory.ts';
import { lockDataDirectory } from '../runtime/data-lock.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import { type Beginning, type RunningProcess, runProcess } from '../runtime/lifecycle.ts';
import { formatAddress } from '../runtime/listen.ts';
import { openLogFile } from '../runtime/log-file.ts';
import { LogWriter } from '../runtime/log-writer.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { startMetricsServer } from '../runtime/metrics-server.ts';
import { findPrograms } from '../runtime/programs.ts';
import { type PublicAddresses, parseListen, settlePorts } from '../runtime/service-addresses.ts';
import { authorityWishes, issueCertificates } from '../runtime/service-certificates.ts';
import { startSupervisor } from '../runtime/supervisor.ts';
import { tell } from '../runtime/tell.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';

const usage = `Usage: longshore up [--data DIR] [--pool [NAME[:loop]=]DIR]... [--listen ADDR]

Serves until stopped: API, upload proxy, worker and a private Redis.

  --data DIR     where everything is kept (LONGSHORE_DATA; for root /var/lib/longshore, else ~/.local/share/longshore)
  --pool DIR     where the volumes are (LONGSHORE_POOL; pools/default in the data directory); NAME=DIR, again and again, for several;
                 NAME:loop=DIR holds Filesystem claims to their size
  --listen ADDR  host or host:port, the upload proxy takes the next port (LONGSHORE_LISTEN; 127.0.0.1:7440)
`;

type Environment = Readonly<Record<string, string | undefined>>;

/** Redis, proxy and API end within their own limits, the worker drains. */
const stopLimitMs = 60_000;

function readArguments(): {
  data?: string | undefined;
  pool?: string[] | undefined;
  listen?: string | undefined;
  help?: boolean | undefined;
} {
  try {
    const text = { type: 'string' } as const;
    const options = {
      data: text,
      pool: { ...text, multiple: true },
      listen: text,
      help: { type: 'boolean', short: 'h' },
    } as const;
    return parseArgs({ options, args: process.argv.slice(2) }).values;
  } catch (error) {
    throw new Fault('InvalidRequest', error instanceof Error ? error.message : 'the arguments cannot be read');
  }
}

async function main(): Promise<void> {
  const given = readArguments();
  if (given.help === true) {
    process.stdout.write(usage);
    return;
  }
  const environment: Environment = {
    ...process.env,
    ...(given.data === undefined ? {} : { LONGSHORE_DATA: given.data }),
    ...(given.pool === undefined ? {} : { LONGSHORE_POOL: given.pool.join(',') }),
    ...(given.listen === undefined ? {} : { LONGSHORE_LISTEN: given.listen }),
  };
  const config = loadConfig(environment);
  const layout = layoutOf(chooseDataDirectory(config, environment), config.pool);
  const asked = parseListen(config.listenHost, { api: config.apiPort, uploadProxy: config.uploadProxyPort });
  const programs = findPrograms(
    ['setpriv', 'prlimit', ...(config.redisUrl === '' ? (['redis-server'] as const) : [])],
    environment['PATH'],
  );
  await makeDirectories(layout);
  const path = join(layout.log, 'up.log');
  const logger = createLogger(config, 'up', new LogWriter({ descriptor: openLogFile(path), path }));
  await runProcess((beginning) => start({ ...beginning, config, layout, asked, programs, environment, logger }), {
    logger,
    stopLimitMs,
    report: false,
    onFault: tellFault,
  });
}

interface UpOptions extends Beginning {
  config: Config;
  layout: DataLayout;
  asked: PublicAddresses;
  programs: ReturnType<typeof findPrograms>;
  environment: Environment;
  logger: Logger;
}

async function start(options: UpOptions): Promise<RunningProcess> {
  const { config, layout, asked, logger, undo } = options;
  const lock = await lockDataDirectory(layout);
  undo.defer(() => lock.release());
  const renewCertificates = await preparePki(layout, { ...config, listenHost: asked.api.host });
  const addresses = await settlePorts(asked);
  const metrics = await startMetricsServer({
    port: config.metricsPort,
    delayResolutionMs: config.delayResolutionMs,
    live: () => undefined,
    ready: () => undefined,
  });
  undo.defer(() => metrics.close());
  const supervisor = await startSupervisor({ ...options, addresses, programOf });
  undo.defer(() => supervisor.stop());
  const renewal = renewNowAndThen(renewCertificates, { everySeconds: config.certificateCheckSeconds, logger });
  undo.defer(() => clearInterval(renewal));
  greet(layout, addresses, options.environment);
  const told = { api: formatAddress(addresses.api), uploadProxy: formatAddress(addresses.uploadProxy) };
  logger.info({ data: layout.root, pools: layout.pools }, 'the service runs');
  return { addresses: { ...told, metrics: formatAddress(metrics.address) } };
}

/** @returns what makes those certificates anew that end soon, and the CA */
async function preparePki(layout: DataLayout, service: Config): Promise<() => Promise<void>> {
  await UploadTokens.ensureKeys(layout.pki);
  const renew = async () => {
    const authority = await CertificateAuthority.openOrCreate(layout.pki, authorityWishes(service));
    await issueCertificates(authority, service);
    await writeDurably(layout.caCertificate, authority.certificate, 0o644);
  };
  await renew();
  return renew;
}

/** The processes find the new ones by themselves (tls-renewal.ts). What fails is tried again the next time: a third of the life is left. */
function renewNowAndThen(
  renew: () => Promise<void>,
  { everySeconds, logger }: { everySeconds: number; logger: Logger },
): NodeJS.Timeout {
  return setInterval(() => {
    renew().catch((error: unknown) => logger.error({ err: toFault(error) }, 'certificates could not be renewed'));
  }, everySeconds * 1_000);
}

/** Beside this file, compiled or not. */
function programOf(name: string): string {
  return join(import.meta.dirname, `${name}${extname(import.meta.filename)}`);
}

function greet(layout: DataLayout, addresses: PublicAddresses, environment: Environment): void {
  const isDefault = chooseDataDirectory({ data: '' }, environment) === layout.root;
  tell(
    1,
    `Longshore serves.

  API           https://${formatAddress(addresses.api)}
  upload proxy  https://${formatAddress(addresses.uploadProxy)}
  data          ${layout.root}
${poolLines(layout.pools)}  CA to trust   ${layout.caCertificate}

In another terminal:
${isDefault ? '' : `  export LONGSHORE_DATA=${layout.root}\n`}  longshore import https://example.com/disk.qcow2 default/disk1 --size 10Gi --wait
  longshore get
  KUBECONFIG=${layout.kubeconfig} kubectl get dv -A -w

Ctrl-C stops it; everything is kept.
`,
  );
}

function poolLines(pools: DataLayout['pools']): string {
  return pools.map(({ name, directory }) => `  ${poolLabel(name, pools.length).padEnd(13)} ${directory}\n`).join('');
}

function poolLabel(name: string, count: number): string {
  return count === 1 ? 'pool' : `pool ${name}`;
}

function tellFault(fault: Fault): void {
  tell(2, faultText(fault));
}

try {
  await main();
} catch (error) {
  const fault = toFault(error);
  tellFault(fault);
  process.exitCode = fault.row.exit;
}
