// The upload proxy process: the only public door for bytes. `longshore up` starts it.
import { Fault } from '../domain/fault.ts';
import { openRedis } from '../jobs/connection.ts';
import { WorkerRegistry } from '../jobs/worker-registry.ts';
import { loadTlsPair } from '../runtime/certificates.ts';
import { loadConfig } from '../runtime/config.ts';
import { chooseDataDirectory, layoutOf } from '../runtime/data-directory.ts';
import { KubeReader } from '../runtime/kube-reader.ts';
import { type RunningProcess, runProcess } from '../runtime/lifecycle.ts';
import { formatAddress, parseAddress } from '../runtime/listen.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { startMetricsServer } from '../runtime/metrics-server.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { startUploadProxy } from '../uploadproxy/start-upload-proxy.ts';

const stopLimitMs = 10_000;

async function start(logger: Logger): Promise<RunningProcess> {
  const config = loadConfig(process.env);
  if (config.apiAddress === '') throw new Fault('InvalidSetting', 'LONGSHORE_API is not set: host:port of the API');
  const { pki } = layoutOf(chooseDataDirectory(config, process.env));
  const [server, client] = await Promise.all([
    loadTlsPair(pki, tlsNames.uploadProxy),
    loadTlsPair(pki, tlsNames.uploadProxyClient),
  ]);
  const tokens = await UploadTokens.openVerifier(pki);
  const redis = await openRedis(config.redisUrl, { logger });
  const reader = new KubeReader({ address: parseAddress(config.apiAddress), tls: client });
  const registry = new WorkerRegistry(redis);
  const proxy = await startUploadProxy({ config, reader, registry, tokens, tls: { server, client }, logger });
  const metrics = await startMetricsServer({
    port: config.metricsPort,
    live: () => undefined,
    ready: () => (redis.status === 'ready' ? undefined : 'Redis cannot be reached'),
  });
  return {
    addresses: { uploadProxy: formatAddress(proxy.address), metrics: formatAddress(metrics.address) },
    stop: async () => {
      await proxy.close();
      reader.close();
      redis.disconnect();
      await metrics.close();
    },
  };
}

const config = loadConfig(process.env);
const logger = createLogger(config, 'uploadproxy');
await runProcess(() => start(logger), { logger, stopLimitMs });
