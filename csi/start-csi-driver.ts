// Builds the CSI driver of one node over its pools and ends it in order. It lives in the worker, which owns the pools. First its own socket is served,
// then that of the registration, so that a kubelet which finds it is answered.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { Fault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Programs } from '../runtime/programs.ts';
import type { Pools } from '../volumes/pools.ts';
import { controllerService } from './controller-service.ts';
import type { PoolWish } from './create-volume.ts';
import type { GrowthWish } from './expand-volume.ts';
import { loadServices } from './grpc-services.ts';
import { identityService } from './identity-service.ts';
import { NodePools } from './node-pools.ts';
import { nodeService } from './node-service.ts';
import { NodeVolumes, type WhoFills } from './node-volumes.ts';
import { refuseBoundedPools } from './refuse-bounded-pools.ts';
import { registrationService } from './registration-service.ts';
import { serveSocket } from './socket-server.ts';
import type { CallContext } from './unary.ts';
import { VolumeUsages } from './volume-usage.ts';

export interface CsiDriverOptions {
  /** Name of the driver, as in the provisioner of its classes: `csi.longshore.dev`. */
  driver: string;
  version: string;
  /** Name of the node in Kubernetes. */
  node: string;
  /** `storagePool` of a class names one; a class that names none means any of them. */
  pools: Pools;
  /** Where the driver is served; its directory is made. */
  socketPath: string;
  /** The kubelet's; left out where something else registers the driver. */
  registration?: {
    /** `plugins_registry` of the kubelet. */
    directory: string;
    /** `socketPath` as the kubelet sees it. */
    endpoint: string;
  };
  programs: Programs;
  logger: Logger;
  whoFills: WhoFills;
  /** Ends whatever fills the volume and removes it; one that is not there is no error. */
  deleteVolume(volumeId: VolumeId): Promise<void>;
  /** Has a volume of another node made larger, and tells its size then. Left out where there is no other node. */
  expandElsewhere?: (volumeId: VolumeId, wish: GrowthWish, signal: AbortSignal) => Promise<number>;
  /** Which of several pools the claim of a volume wishes for; asked only where its class leaves a choice. Default: none. */
  poolWish?: PoolWish;
  /** Told of a volume for which there is no room here, beside the answer; may not throw. */
  onRefusal?: (volumeId: VolumeId, fault: Fault) => void;
}

export interface CsiDriver {
  /** Why the kubelet does not use the driver (yet); undefined where it does, or where it is not asked. */
  notRegistered(): string | undefined;
  /** Ends the calls that run with Interrupted; what is published stays. */
  stop(): Promise<void>;
}

/** @throws Fault InvalidSetting, AddressInUse, ProgramMissing; nothing is left open then */
export async function startCsiDriver(options: CsiDriverOptions): Promise<CsiDriver> {
  const undo = new AsyncDisposableStack();
  try {
    return await buildDriver(options, undo);
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

async function buildDriver(options: CsiDriverOptions, undo: AsyncDisposableStack): Promise<CsiDriver> {
  const { driver, node, programs, logger, socketPath, registration } = options;
  checkNames(options);
  refuseBoundedPools(options.pools.places);
  // Whatever fails is told by a fault; grpc-js would write lines of its own between those of the log.
  setLogVerbosity(logVerbosity.NONE);
  for (const program of ['mount', 'umount'] as const) programs.path(program);
  const stopping = new AbortController();
  const context: CallContext = { logger, stopping: stopping.signal };
  const pools = new NodePools({ driver, node, pools: options.pools });
  const volumes = new NodeVolumes({ pools, programs, whoFills: options.whoFills });
  const parts = { ...options, pools, volumes, usages: new VolumeUsages() };
  const definitionOf = loadServices();

  await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
  const served = await serveSocket(socketPath, [
    { definition: definitionOf('csi.v1.Identity'), implementation: identityService(context, parts) },
    { definition: definitionOf('csi.v1.Controller'), implementation: controllerService(context, parts) },
    { definition: definitionOf('csi.v1.Node'), implementation: nodeService(context, parts) },
  ]);
  undo.defer(() => served.close());

  let refusal = registration === undefined ? undefined : 'the kubelet has not found the CSI driver yet';
  if (registration !== undefined) {
    const told = (why: string | undefined) => {
      refusal = why === undefined ? undefined : `the kubelet refuses the CSI driver: ${why}`;
      if (refusal === undefined) logger.info({ driver }, 'the kubelet uses the CSI driver');
      else logger.warn({ driver }, refusal);
    };
    const door = await serveSocket(join(registration.directory, `${driver}-reg.sock`), [
      {
        definition: definitionOf('pluginregistration.Registration'),
        implementation: registrationService(context, { driver, endpoint: registration.endpoint, told }),
      },
    ]);
    undo.defer(() => door.close());
  }
  logger.info({ driver, node, socketPath }, 'CSI driver is served');
  return {
    notRegistered: () => refusal,
    stop: async () => {
      stopping.abort(new Fault('Interrupted', 'the CSI driver stops'));
      await undo.disposeAsync();
    },
  };
}

/** The rules of csi.proto for the name of a plugin, and of Kubernetes for the values of labels. */
function checkNames({ driver, node }: CsiDriverOptions): void {
  if (!/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(driver)) {
    throw new Fault(
      'InvalidSetting',
      `the name of the CSI driver is to be a domain name of 63 characters at most: ${driver}`,
    );
  }
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(node)) {
    throw new Fault(
      'InvalidSetting',
      `the name of the node is to be the value of a label, 63 characters at most: ${node}`,
    );
  }
}
