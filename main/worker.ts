// The worker process of one node: takes jobs from its queue, runs the upload server, owns the node's pools. `longshore up` starts it.
import { findPrograms } from '../runtime/programs.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { runServiceProcess } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { startWorker } from '../worker/start-worker.ts';
import { workerPrograms } from '../worker/worker-programs.ts';

const stopMarginMs = 15_000;

await runServiceProcess({
  name: 'worker',
  environment: process.env,
  stopLimitMs: (config) => config.drainSeconds * 1000 + stopMarginMs,
  start: async ({ config, layout, logger, undo }) => {
    const programs = findPrograms(workerPrograms, process.env['PATH']);
    const everySeconds = config.certificateCheckSeconds;
    const tls = await loadRenewedTls({ directory: layout.pki, name: tlsNames.worker, everySeconds, logger });
    const directories = { pools: layout.pools, runDirectory: layout.run };
    const worker = await startWorker({ config, tls, logger, programs, ...directories });
    undo.defer(() => worker.stop());
    return { addresses: { upload: worker.uploadAddress }, notReady: () => worker.notReady() };
  },
});
