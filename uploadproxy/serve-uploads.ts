// The upload proxy as a part of its process, on one machine and on a cluster: with Redis, where the workers say who they are and where they listen.
import { openRedis } from '../jobs/connection.ts';
import { WorkerRegistry } from '../jobs/worker-registry.ts';
import { formatAddress } from '../runtime/listen.ts';
import type { RunningService, ServiceTools } from '../runtime/service-process.ts';
import { startUploadProxy, type UploadProxyOptions } from './start-upload-proxy.ts';

type Given = Pick<UploadProxyOptions, 'reader' | 'tokens' | 'tls' | 'runDirectory'>;

/** @throws Fault AddressInUse, RedisUnavailable */
export async function serveUploads(
  { config, logger, undo }: Pick<ServiceTools, 'config' | 'logger' | 'undo'>,
  given: Given,
): Promise<RunningService> {
  const redis = await openRedis(config.redisUrl, { logger });
  undo.defer(() => redis.disconnect());
  const proxy = await startUploadProxy({ ...given, config, registry: new WorkerRegistry(redis), logger });
  undo.defer(() => proxy.close());
  return {
    addresses: { uploadProxy: formatAddress(proxy.address) },
    notReady: () => (redis.status === 'ready' ? undefined : 'Redis cannot be reached'),
  };
}
