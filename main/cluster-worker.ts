// The worker of one node of a cluster: gets its certificate, then does what a worker on one machine does, and serves the CSI driver over the same pool.
// `longshore cluster worker` runs it.
import { join } from 'node:path';
import { connectToCluster } from '../cluster/connect.ts';
import { keepEnrolled } from '../cluster/worker-enrolment.ts';
import { startCsiDriver } from '../csi/start-csi-driver.ts';
import type { RunningProcess } from '../runtime/lifecycle.ts';
import { formatAddress } from '../runtime/listen.ts';
import { startMetricsServer } from '../runtime/metrics-server.ts';
import { findPrograms } from '../runtime/programs.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { runServiceProcess, type ServiceTools } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { versionOfPackage } from '../runtime/version.ts';
import { startWorker } from '../worker/start-worker.ts';
import { workerPrograms } from '../worker/worker-programs.ts';

const stopMarginMs = 15_000;

async function start(tools: ServiceTools): Promise<RunningProcess> {
  const undo = new AsyncDisposableStack();
  try {
    return { addresses: await build(tools, undo), stop: () => undo.disposeAsync() };
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

/** Each part is put on `undo` when it is there; stopping takes them off in the reverse order. */
async function build(
  { config, layout, logger, signal }: ServiceTools,
  undo: AsyncDisposableStack,
): Promise<Record<string, string>> {
  const programs = findPrograms([...workerPrograms, 'mount', 'umount'], process.env['PATH']);
  const ending = new AbortController();
  undo.defer(() => ending.abort());
  let notReady: () => string | undefined = () => 'waits for its certificate';
  const metrics = await startMetricsServer({
    ...{ port: config.metricsPort, host: config.metricsHost, delayResolutionMs: config.delayResolutionMs },
    live: () => undefined,
    ready: () => notReady(),
  });
  undo.defer(() => metrics.close());
  const { client, store } = await connectToCluster(config);
  undo.defer(() => client.close());
  const everySeconds = config.certificateCheckSeconds;
  await keepEnrolled(
    {
      ...{ address: config.enrolmentAddress, reader: store, namespace: config.clusterNamespace },
      ...{ tokenPath: config.workerTokenPath, directory: layout.pki, everySeconds, logger },
    },
    AbortSignal.any([signal, ending.signal]),
  );
  const tls = await loadRenewedTls({ directory: layout.pki, name: tlsNames.worker, everySeconds, logger });
  const worker = await startWorker({ config, tls, logger, programs, poolDirectory: layout.pool, tellsVolumes: true });
  undo.defer(() => worker.stop());
  const plugin = join(config.kubeletDirectory, 'plugins', config.csiDriver, 'csi.sock');
  const csi = await startCsiDriver({
    ...{ driver: config.csiDriver, version: versionOfPackage(), node: config.node, programs, logger },
    pools: new Map([['default', worker.pool]]),
    socketPath: config.csiSocket,
    registration: { directory: join(config.kubeletDirectory, 'plugins_registry'), endpoint: plugin },
    whoFills: async ({ owner }, asked) => ((await worker.isFilled(owner, asked)) ? 'somebody' : 'nobody'),
    deleteVolume: (volumeId) => worker.deleteVolume(volumeId),
  });
  undo.defer(() => csi.stop());
  notReady = () => worker.notReady() ?? csi.notRegistered();
  return { upload: worker.uploadAddress, metrics: formatAddress(metrics.address) };
}

await runServiceProcess({
  name: 'worker',
  environment: process.env,
  stopLimitMs: (config) => config.drainSeconds * 1_000 + stopMarginMs,
  start,
});
