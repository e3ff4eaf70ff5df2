// The worker process of one node: takes jobs from its queue, runs the upload server, owns the node's pool. `longshore up` starts it.

import { loadTlsPair } from '../runtime/certificates.ts';
import { loadConfig } from '../runtime/config.ts';
import { chooseDataDirectory, layoutOf } from '../runtime/data-directory.ts';
import { type RunningProcess, runProcess } from '../runtime/lifecycle.ts';
import { formatAddress } from '../runtime/listen.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { startMetricsServer } from '../runtime/metrics-server.ts';
import { findPrograms } from '../runtime/programs.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { startWorker } from '../worker/start-worker.ts';

const stopMarginMs = 15_000;
const needed = ['qemu-img', 'prlimit', 'setpriv', 'unshare', 'cp', 'xz', 'zstd', ['igzip', 'pigz', 'gzip']] as const;

async function start(logger: Logger): Promise<RunningProcess> {
  const config = loadConfig(process.env);
  const layout = layoutOf(chooseDataDirectory(config, process.env), config.pool);
  const programs = findPrograms(needed, process.env['PATH']);
  const tls = await loadTlsPair(layout.pki, tlsNames.worker);
  const worker = await startWorker({ config, tls, logger, programs, poolDirectory: layout.pool });
  const metrics = await startMetricsServer({
    port: config.metricsPort,
    live: () => undefined,
    ready: () => worker.notReady(),
  });
  return {
    addresses: { upload: worker.uploadAddress, metrics: formatAddress(metrics.address) },
    stop: async () => {
      await worker.stop();
      await metrics.close();
    },
  };
}

const config = loadConfig(process.env);
const logger = createLogger(config, 'worker');
await runProcess(() => start(logger), { logger, stopLimitMs: config.drainSeconds * 1000 + stopMarginMs });
