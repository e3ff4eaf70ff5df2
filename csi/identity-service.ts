// The identity service of the CSI: who the driver is and whether its pools can be worked with.
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { NodePools } from './node-pools.ts';
import { Nothing } from './requests.ts';
import { type CallContext, unary } from './unary.ts';

const services = ['CONTROLLER_SERVICE', 'VOLUME_ACCESSIBILITY_CONSTRAINTS'];

export interface IdentityOptions {
  driver: string;
  version: string;
  pools: NodePools;
}

export function identityService(context: CallContext, options: IdentityOptions): UntypedServiceImplementation {
  const { driver, version, pools } = options;
  return {
    GetPluginInfo: unary(context, Nothing, () => ({ name: driver, vendorVersion: version })),
    GetPluginCapabilities: unary(context, Nothing, () => ({
      capabilities: [...services.map((type) => ({ service: { type } })), { volumeExpansion: { type: 'ONLINE' } }],
    })),
    /** Ready where the disk of every pool is there; what is published works on in any case. */
    Probe: unary(context, Nothing, async () => {
      const looks = await Promise.allSettled(pools.all.all().map((pool) => pool.assertThere()));
      const areOpen = pools.all.places.every(({ pool }) => pool !== undefined);
      return { ready: { value: areOpen && looks.every(({ status }) => status === 'fulfilled') } };
    }),
  };
}
