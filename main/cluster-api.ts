// The API of a service on a cluster: admission webhooks and upload tokens, for kube-apiserver. `longshore cluster api` runs it; there may be many.
import { connectToCluster } from '../cluster/connect.ts';
import { followPki } from '../cluster/pki-secrets.ts';
import { startClusterApi } from '../cluster/start-cluster-api.ts';
import { formatAddress } from '../runtime/listen.ts';
import { startMetricsServer } from '../runtime/metrics-server.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { runServiceProcess } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';

await runServiceProcess({
  name: 'api',
  environment: process.env,
  stopLimitMs: () => 10_000,
  start: async ({ config, layout, logger, signal }) => {
    const ending = new AbortController();
    const undo = new AsyncDisposableStack();
    undo.defer(() => ending.abort());
    let isReady = false;
    const metrics = await startMetricsServer({
      ...{ port: config.metricsPort, host: config.metricsHost, delayResolutionMs: config.delayResolutionMs },
      live: () => undefined,
      ready: () => (isReady ? undefined : 'waits for its certificates'),
    });
    undo.defer(() => metrics.close());
    const { client, store } = await connectToCluster(config);
    undo.defer(() => client.close());
    const place = { store, namespace: config.clusterNamespace, directory: layout.pki };
    await followPki(place, 'longshore-api-pki', { signal: AbortSignal.any([signal, ending.signal]), logger });
    const everySeconds = config.certificateCheckSeconds;
    const tls = await loadRenewedTls({ directory: layout.pki, name: tlsNames.api, everySeconds, logger });
    const { tokenLifetimeSeconds } = config;
    const tokens = await UploadTokens.open(layout.pki, { lifetimeSeconds: tokenLifetimeSeconds });
    const api = await startClusterApi({
      ...{ address: { host: config.listenHost, port: config.apiPort }, tls, reader: store, client },
      ...{ tokens, tokenLifetimeSeconds, everySeconds, logger },
    });
    undo.defer(() => api.close());
    isReady = true;
    return {
      addresses: { api: api.address, metrics: formatAddress(metrics.address) },
      stop: () => undo.disposeAsync(),
    };
  },
});
