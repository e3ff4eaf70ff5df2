// One process of the service from its environment: settings, log, life. A setting that cannot be used is told like any other fault.
import { join } from 'node:path';
import { toFault } from '../domain/fault.ts';
import { type Config, loadConfig } from './config.ts';
import { chooseDataDirectory, type DataLayout, layoutOf } from './data-directory.ts';
import { type RunningProcess, runProcess } from './lifecycle.ts';
import { LogWriter } from './log-writer.ts';
import { createLogger, type Logger } from './logger.ts';
import { faultReport } from './process-report.ts';
import { tell } from './tell.ts';

export interface ServiceTools {
  config: Config;
  layout: DataLayout;
  logger: Logger;
  signal: AbortSignal;
}

export interface ServiceProcess {
  name: string;
  /** process.env; only main/ has it. */
  environment: Readonly<Record<string, string | undefined>>;
  stopLimitMs(config: Config): number;
  /** The signal aborts when the process is asked to stop while it still starts. */
  start(tools: ServiceTools): Promise<RunningProcess>;
}

/** Runs until a signal or a fault; ends the process. */
export async function runServiceProcess(service: ServiceProcess): Promise<void> {
  try {
    const config = loadConfig(service.environment);
    const layout = layoutOf(chooseDataDirectory(config, service.environment), config.pool);
    // `longshore up` gives a file as stderr. Who starts a process by hand has another one there, which then is left alone.
    const path = join(layout.log, `${service.name}.log`);
    const logger = createLogger(config, service.name, new LogWriter({ descriptor: 2, path }));
    const stopLimitMs = service.stopLimitMs(config);
    await runProcess((signal) => service.start({ config, layout, logger, signal }), { logger, stopLimitMs });
  } catch (error) {
    const fault = toFault(error);
    tell(1, faultReport(fault));
    tell(2, `longshore ${service.name}: ${fault.row.sentence} ${fault.detail}\n${fault.row.nextStep}\n`);
    process.exitCode = fault.row.exit;
  }
}
