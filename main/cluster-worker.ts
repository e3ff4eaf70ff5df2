// The worker of one node of a cluster: gets its certificate, then does what a worker on one machine does, and serves the CSI driver over the same pools.
// `longshore cluster worker` runs it.
import { join } from 'node:path';
import { connectToCluster } from '../cluster/connect.ts';
import { keepEnrolled } from '../cluster/worker-enrolment.ts';
import { refuseBoundedPools } from '../csi/refuse-bounded-pools.ts';
import { startCsiDriver } from '../csi/start-csi-driver.ts';
import { awaitRedis } from '../jobs/connection.ts';
import { findPrograms } from '../runtime/programs.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { type RunningService, runServiceProcess, type ServiceTools } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { versionOfPackage } from '../runtime/version.ts';
import { startWorker } from '../worker/start-worker.ts';
import { workerPrograms } from '../worker/worker-programs.ts';

const stopMarginMs = 15_000;

async function start({ config, layout, logger, signal, undo, meanwhile }: ServiceTools): Promise<RunningService> {
  refuseBoundedPools(layout.pools);
  const programs = findPrograms([...workerPrograms, 'mount', 'umount'], process.env['PATH']);
  const { client, store } = await connectToCluster(config);
  undo.defer(() => client.close());
  const everySeconds = config.certificateCheckSeconds;
  const { onWritten } = await keepEnrolled(
    {
      ...{ address: config.enrolmentAddress, reader: store, namespace: config.clusterNamespace },
      ...{ tokenPath: config.workerTokenPath, directory: layout.pki, everySeconds, logger },
    },
    signal,
  );
  const tls = await loadRenewedTls({ directory: layout.pki, name: tlsNames.worker, everySeconds, onWritten, logger });
  meanwhile('waits for Redis');
  await awaitRedis(config.redisUrl, signal, logger);
  meanwhile('starts');
  const worker = await startWorker({ config, tls, logger, programs, pools: layout.pools, tellsVolumes: true });
  undo.defer(() => worker.stop());
  const plugin = join(config.kubeletDirectory, 'plugins', config.csiDriver, 'csi.sock');
  const csi = await startCsiDriver({
    ...{ driver: config.csiDriver, version: versionOfPackage(), node: config.node, programs, logger },
    pools: worker.pools,
    socketPath: config.csiSocket,
    registration: { directory: join(config.kubeletDirectory, 'plugins_registry'), endpoint: plugin },
    whoFills: async ({ owner }, asked) => ((await worker.isFilled(owner, asked)) ? 'somebody' : 'nobody'),
    poolWish: (owner, asked) => worker.poolWish(owner, asked),
    deleteVolume: (volumeId) => worker.deleteVolume(volumeId),
    expandElsewhere: (volumeId, wish, asked) => worker.expandElsewhere(volumeId, wish, asked),
    onRefusal: (volumeId, fault) => worker.tellRefusal(volumeId, fault),
  });
  undo.defer(() => csi.stop());
  return { addresses: { upload: worker.uploadAddress }, notReady: () => worker.notReady() ?? csi.notRegistered() };
}

await runServiceProcess({
  name: 'worker',
  environment: process.env,
  stopLimitMs: (config) => config.drainSeconds * 1_000 + stopMarginMs,
  waitsFor: 'waits for its certificate',
  start,
});
