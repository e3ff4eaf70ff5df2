// The API process: object store, Kubernetes-style REST, and on one machine the controller with its channel. `longshore up` starts it.
import { objectRestorer } from '../api/object-restorer.ts';
import { startApi } from '../api/start-api.ts';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { Users } from '../api/users.ts';
import { startController } from '../controller/start-controller.ts';
import { Fault, toFault } from '../domain/fault.ts';
import { openRedis, refuseEviction } from '../jobs/connection.ts';
import { JobQueues } from '../jobs/job-queues.ts';
import { keepAdminKubeconfig } from '../runtime/admin-kubeconfig.ts';
import { formatAddress } from '../runtime/listen.ts';
import { dialHost } from '../runtime/service-addresses.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { type RunningService, runServiceProcess, type ServiceTools } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';

async function start({ config, layout, logger, undo }: ServiceTools): Promise<RunningService> {
  const renewal = { directory: layout.pki, everySeconds: config.certificateCheckSeconds, logger };
  const tls = await loadRenewedTls({ ...renewal, name: tlsNames.api });
  const channelTls = await loadRenewedTls({ ...renewal, name: tlsNames.controller });
  const tokens = await UploadTokens.open(layout.pki, { lifetimeSeconds: config.tokenLifetimeSeconds });
  const store = await SqliteStore.open(layout.root);
  undo.defer(() => store.close());
  const redis = await openRedis(config.redisUrl, { logger });
  undo.defer(() => redis.disconnect());
  await refuseEviction(redis, config, logger);
  const queues = new JobQueues(redis);
  undo.defer(() => queues.close());
  const users = new Users(store);

  const controller = await startController({
    ...{ store, queues, channelTls, config, logger },
    restorer: objectRestorer(store),
  });
  undo.defer(() => controller.stop());
  const host = dialHost(config.listenHost);
  const { operations } = controller;
  const api = await startApi({ config, store, users, tls, tokens, logger, operations });
  undo.defer(() => api.close());
  const keepKubeconfig = (firstToken?: string) =>
    keepAdminKubeconfig({
      path: layout.kubeconfig,
      server: `https://${formatAddress({ host, port: api.port })}`,
      ca: tls.ca,
      firstToken,
      isKnown: (token) => users.identify(token) !== undefined,
      renew: () => users.renewToken('admin'),
    });
  await keepKubeconfig(api.adminToken).catch((error: unknown) => {
    const fault = toFault(error);
    // The administrator may have removed that user on purpose; the service serves everybody else.
    if (!(fault instanceof Fault && fault.code === 'NotFound')) throw fault;
    logger.warn({ err: fault }, 'no kubeconfig is written');
  });
  let told = tls.ca;
  tls.onRenewal?.(({ ca }) => {
    if (ca === told) return;
    told = ca;
    keepKubeconfig().catch((error: unknown) => {
      logger.warn({ err: toFault(error) }, 'the kubeconfig does not tell the new CA');
    });
  });
  return {
    addresses: { api: formatAddress({ host: api.host, port: api.port }), channel: controller.channelAddress },
    notReady: () => (redis.status === 'ready' ? undefined : 'Redis cannot be reached'),
  };
}

await runServiceProcess({ name: 'api', environment: process.env, stopLimitMs: () => 10_000, start });
