// The upload proxy process: the only public door for bytes. `longshore up` starts it.
import { Fault } from '../domain/fault.ts';
import { KubeReader } from '../runtime/kube-reader.ts';
import { parseAddress } from '../runtime/listen.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { runServiceProcess } from '../runtime/service-process.ts';
import { loadRenewedTls } from '../runtime/tls-renewal.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { serveUploads } from '../uploadproxy/serve-uploads.ts';

await runServiceProcess({
  name: 'uploadproxy',
  environment: process.env,
  stopLimitMs: () => 10_000,
  start: async ({ config, layout, logger, undo }) => {
    if (config.apiAddress === '') throw new Fault('InvalidSetting', 'LONGSHORE_API is not set: host:port of the API');
    const renewal = { directory: layout.pki, everySeconds: config.certificateCheckSeconds, logger };
    const server = await loadRenewedTls({ ...renewal, name: tlsNames.uploadProxy });
    const client = await loadRenewedTls({ ...renewal, name: tlsNames.uploadProxyClient });
    const tokens = await UploadTokens.openVerifier(layout.pki);
    const reader = new KubeReader({ address: parseAddress(config.apiAddress), tls: client });
    undo.defer(() => reader.close());
    return serveUploads(
      { config, logger, undo },
      { reader, tokens, tls: { server, client }, runDirectory: layout.run },
    );
  },
});
