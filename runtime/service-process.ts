// One process of the service from its environment: settings, log, life. A setting that cannot be used is told like any other fault.
import { join } from 'node:path';
import { faultText, toFault } from '../domain/fault.ts';
import { type Config, loadConfig } from './config.ts';
import { chooseDataDirectory, type DataLayout, layoutOf } from './data-directory.ts';
import { type Beginning, type RunningProcess, runProcess } from './lifecycle.ts';
import { formatAddress } from './listen.ts';
import { LogWriter } from './log-writer.ts';
import { createLogger, type Logger } from './logger.ts';
import { startMetricsServer } from './metrics-server.ts';
import { faultReport } from './process-report.ts';
import { tell } from './tell.ts';

export interface ServiceTools extends Beginning {
  config: Config;
  layout: DataLayout;
  logger: Logger;
  /** What /readyz says from now on until start() is done; undefined: that it is ready. */
  meanwhile(notReady: string | undefined): void;
}

export interface RunningService extends RunningProcess {
  /** Why no work can be taken at the moment; undefined where it can. Default: it always can. */
  notReady?(): string | undefined;
}

export interface ServiceProcess {
  name: string;
  /** process.env; only main/ has it. */
  environment: Readonly<Record<string, string | undefined>>;
  stopLimitMs(config: Config): number;
  /** What /readyz says until start() is done or says something else. Default: 'starts'. */
  waitsFor?: string;
  start(tools: ServiceTools): Promise<RunningService>;
}

/** Runs until a signal or a fault; ends the process. Its metrics, /livez and /readyz are there from the beginning. */
export async function runServiceProcess(service: ServiceProcess): Promise<void> {
  try {
    const config = loadConfig(service.environment);
    const layout = layoutOf(chooseDataDirectory(config, service.environment), config.pool);
    // `longshore up` gives a file as stderr. Who starts a process by hand has another one there, which then is left alone.
    const path = join(layout.log, `${service.name}.log`);
    const logger = createLogger(config, service.name, new LogWriter({ descriptor: 2, path }));
    const stopLimitMs = service.stopLimitMs(config);
    await runProcess((beginning) => start(service, { ...beginning, config, layout, logger }), { logger, stopLimitMs });
  } catch (error) {
    const fault = toFault(error);
    tell(1, faultReport(fault));
    tell(2, faultText(fault));
    process.exitCode = fault.row.exit;
  }
}

async function start(service: ServiceProcess, tools: Omit<ServiceTools, 'meanwhile'>): Promise<RunningProcess> {
  const { config, undo } = tools;
  let notReady: () => string | undefined = () => service.waitsFor ?? 'starts';
  const metrics = await startMetricsServer({
    ...{ port: config.metricsPort, host: config.metricsHost, delayResolutionMs: config.delayResolutionMs },
    live: () => undefined,
    ready: () => notReady(),
  });
  undo.defer(() => metrics.close());
  const meanwhile = (why: string | undefined) => {
    notReady = () => why;
  };
  const running = await service.start({ ...tools, meanwhile });
  notReady = () => running.notReady?.();
  return { ...running, addresses: { ...running.addresses, metrics: formatAddress(metrics.address) } };
}
