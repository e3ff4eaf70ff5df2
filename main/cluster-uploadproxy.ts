// The upload proxy of a service on a cluster. `longshore cluster uploadproxy` runs it; there may be many.
import { connectToCluster } from '../cluster/connect.ts';
import { followPki } from '../cluster/pki-secrets.ts';
import { awaitRedis } from '../jobs/connection.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { runServiceProcess } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { serveUploads } from '../uploadproxy/serve-uploads.ts';

await runServiceProcess({
  name: 'uploadproxy',
  environment: process.env,
  stopLimitMs: () => 10_000,
  waitsFor: 'waits for its certificates',
  start: async ({ config, layout, logger, signal, undo, meanwhile }) => {
    const { client: kube, store: reader } = await connectToCluster(config);
    undo.defer(() => kube.close());
    const place = { store: reader, namespace: config.clusterNamespace, directory: layout.pki };
    const { onWritten } = await followPki(place, 'longshore-uploadproxy-pki', { signal, logger });
    const renewal = { directory: layout.pki, everySeconds: config.certificateCheckSeconds, onWritten, logger };
    const server = await loadRenewedTls({ ...renewal, name: tlsNames.uploadProxy });
    const client = await loadRenewedTls({ ...renewal, name: tlsNames.uploadProxyClient });
    const tokens = await UploadTokens.openVerifier(layout.pki);
    onWritten(() => void tokens.takeKeys(logger));
    meanwhile('waits for Redis');
    await awaitRedis(config.redisUrl, signal, logger);
    return serveUploads({ config, logger, undo }, { reader, tokens, tls: { server, client } });
  },
});
