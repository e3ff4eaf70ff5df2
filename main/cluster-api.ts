// The API of a service on a cluster: admission webhooks and upload tokens, for kube-apiserver. `longshore cluster api` runs it; there may be many.
import { connectToCluster } from '../cluster/connect.ts';
import { followPki } from '../cluster/pki-secrets.ts';
import { startClusterApi } from '../cluster/start-cluster-api.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { runServiceProcess } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';

await runServiceProcess({
  name: 'api',
  environment: process.env,
  stopLimitMs: () => 10_000,
  waitsFor: 'waits for its certificates',
  start: async ({ config, layout, logger, signal, undo }) => {
    const { client, store } = await connectToCluster(config);
    undo.defer(() => client.close());
    const place = { store, namespace: config.clusterNamespace, directory: layout.pki };
    const { onWritten } = await followPki(place, 'longshore-api-pki', { signal, logger });
    const everySeconds = config.certificateCheckSeconds;
    const tls = await loadRenewedTls({ directory: layout.pki, name: tlsNames.api, everySeconds, onWritten, logger });
    const { tokenLifetimeSeconds } = config;
    const tokens = await UploadTokens.open(layout.pki, { lifetimeSeconds: tokenLifetimeSeconds });
    onWritten(() => void tokens.takeKeys(logger));
    const api = await startClusterApi({
      ...{ address: { host: config.listenHost, port: config.apiPort }, tls, reader: store, client },
      ...{ tokens, tokenLifetimeSeconds, everySeconds, logger },
      provisioning: { by: 'csi', driver: config.csiDriver },
      controllerUser: `system:serviceaccount:${config.clusterNamespace}:longshore-controller`,
    });
    undo.defer(() => api.close());
    return { addresses: { api: api.address } };
  },
});
