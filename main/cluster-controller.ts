// The controller of a service on a cluster: waits until it leads, keeps the certificates, enrols workers, and reconciles. `longshore cluster controller` runs it.
// One that no longer leads ends, and its pod begins anew. See docs/decisions/012-finding-the-leader.md.
import { randomUUID } from 'node:crypto';
import { beginLeading, lossOf } from '../cluster/begin-leading.ts';
import { keepCdiStatuses } from '../cluster/cdi-statuses.ts';
import { ClusterConfiguration } from '../cluster/cluster-configuration.ts';
import { keepClusterPki } from '../cluster/cluster-pki.ts';
import { connectToCluster } from '../cluster/connect.ts';
import { startEnrolmentServer } from '../cluster/enrolment-server.ts';
import type { KubeClient } from '../cluster/kube-client.ts';
import { KubeObjectStore } from '../cluster/kube-object-store.ts';
import { acquireLease, type Leadership } from '../cluster/leader-lease.ts';
import { startController } from '../controller/start-controller.ts';
import { awaitRedis, openRedis, refuseEviction } from '../jobs/connection.ts';
import { JobQueues } from '../jobs/job-queues.ts';
import { parseAddress } from '../runtime/listen.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { type RunningService, runServiceProcess, type ServiceTools } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { versionOfPackage } from '../runtime/version.ts';

/** Kubernetes' own waits (a webhook's caches, Redis that is just being started) are seconds; a pod that needs longer than this is better begun anew. */
const beginsWithinMs = 120_000;

/** Stopping gives the lease away after all that it protects has ended. */
async function start(tools: ServiceTools): Promise<RunningService> {
  const { config, logger, signal, undo, meanwhile } = tools;
  const { client, store } = await connectToCluster(config);
  undo.defer(() => client.close());
  const namespace = config.clusterNamespace;
  const identity = `${config.podName}_${randomUUID()}`;
  // Who waits is ready to take the other's place, where there is another: rollouts and drains go on, and nobody takes for ready what nobody leads yet.
  // Workers find the one that leads because it alone listens.
  const onLed = (isLed: boolean) => meanwhile(isLed ? undefined : 'nobody is known to lead yet');
  onLed(false);
  const lease = await acquireLease({ store, namespace, name: 'longshore-controller', identity, logger, onLed }, signal);
  undo.defer(() => lease.release());
  meanwhile('begins to lead');
  const addresses = await beginLeading(lease.signal, beginsWithinMs, () =>
    lead(tools, client.withLicence(lease), lease),
  );
  return { addresses, failed: lossOf(lease.signal) };
}

/**
 * Whatever leads goes by the lease: what it asks of kube-apiserver, of the queues and of workers.
 * @returns addresses by name
 */
async function lead(
  { config, layout, logger, signal, undo }: ServiceTools,
  client: KubeClient,
  lease: Leadership,
): Promise<RunningService['addresses']> {
  const namespace = config.clusterNamespace;
  const store = new KubeObjectStore(client);
  const pki = await keepClusterPki({ store, namespace, directory: layout.pki }, config, logger);
  undo.defer(() => pki.stop());
  const everySeconds = config.certificateCheckSeconds;
  const { onWritten } = pki;
  const tls = await loadRenewedTls({
    directory: layout.pki,
    name: tlsNames.controller,
    everySeconds,
    onWritten,
    logger,
  });
  const enrolment = await startEnrolmentServer({
    ...{ address: parseAddress(config.enrolmentAddress), tls, authority: pki.authority, client, logger },
    serviceAccount: { namespace, name: config.workerAccount },
  });
  undo.defer(() => enrolment.close());
  await awaitRedis(config.redisUrl, signal, logger);
  const redis = await openRedis(config.redisUrl, { logger });
  undo.defer(() => redis.disconnect());
  await refuseEviction(redis, config, logger);
  const queues = new JobQueues(redis, lease);
  undo.defer(() => queues.close());
  const controller = await startController({
    ...{ store, queues, channelTls: tls, config, logger, licence: lease },
    provisioning: { by: 'csi', driver: config.csiDriver },
    configurationSources: new ClusterConfiguration({
      ...{ store, namespace, uploadProxyService: config.uploadProxyService, logger },
    }),
  });
  undo.defer(() => controller.stop());
  void keepCdiStatuses({ store, version: versionOfPackage(), logger }, signal);
  return { channel: controller.channelAddress, enrolment: enrolment.address };
}

await runServiceProcess({
  name: 'controller',
  environment: process.env,
  stopLimitMs: () => 10_000,
  start,
});
