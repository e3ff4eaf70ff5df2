// The node service of the CSI: what the kubelet of this node asks.
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { Fault } from '../domain/fault.ts';
import { expandHeld } from './expand-volume.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeVolumes } from './node-volumes.ts';
import {
  NodeExpandRequest,
  NodePublishRequest,
  NodeStageRequest,
  NodeStatsRequest,
  NodeUnpublishRequest,
  NodeUnstageRequest,
  Nothing,
} from './requests.ts';
import { type CallContext, unary } from './unary.ts';
import { planMount } from './volume-capability.ts';
import { conditionOf } from './volume-condition.ts';
import type { VolumeUsages } from './volume-usage.ts';

const capabilities = [
  ...['STAGE_UNSTAGE_VOLUME', 'GET_VOLUME_STATS', 'EXPAND_VOLUME'],
  ...['VOLUME_CONDITION', 'SINGLE_NODE_MULTI_WRITER'],
];

export interface NodeServiceOptions {
  pools: NodePools;
  volumes: NodeVolumes;
  usages: VolumeUsages;
}

export function nodeService(context: CallContext, options: NodeServiceOptions): UntypedServiceImplementation {
  const { pools, volumes, usages } = options;
  return {
    NodeGetInfo: unary(context, Nothing, () => ({ nodeId: pools.node, accessibleTopology: pools.topology })),
    NodeGetCapabilities: unary(context, Nothing, () => ({
      capabilities: capabilities.map((type) => ({ rpc: { type } })),
    })),
    NodeStageVolume: unary(context, NodeStageRequest, async (request, signal) => {
      needText('volume_id', request.volumeId);
      needText('staging_target_path', request.stagingTargetPath);
      if (request.volumeCapability === null) throw new Fault('InvalidRequest', 'volume_capability is missing');
      const { mode } = planMount(request.volumeCapability);
      await volumes.stage(request.volumeId, mode, signal);
      return {};
    }),
    NodeUnstageVolume: unary(context, NodeUnstageRequest, (request) => {
      needText('volume_id', request.volumeId);
      needText('staging_target_path', request.stagingTargetPath);
      return {};
    }),
    NodePublishVolume: unary(context, NodePublishRequest, async (request, signal) => {
      await volumes.publish(request, signal);
      return {};
    }),
    NodeUnpublishVolume: unary(context, NodeUnpublishRequest, async ({ volumeId, targetPath }, signal) => {
      await volumes.unpublish(volumeId, targetPath, signal);
      return {};
    }),
    NodeGetVolumeStats: unary(context, NodeStatsRequest, async ({ volumeId, volumePath }, signal) => {
      const held = await volumes.needPublished(volumeId, volumePath);
      return { usage: await usages.of(held, signal), volumeCondition: await conditionOf(held) };
    }),
    /** The volume has grown as a whole already when ControllerExpandVolume was answered; a kubelet that asks is told so. */
    NodeExpandVolume: unary(context, NodeExpandRequest, async (request) => {
      const held = await volumes.needPublished(request.volumeId, request.volumePath);
      return { capacityBytes: (await expandHeld(held, request.capacityRange)).sizeBytes };
    }),
  };
}

function needText(field: string, text: string): void {
  if (text === '') throw new Fault('InvalidRequest', `${field} is missing`);
}
