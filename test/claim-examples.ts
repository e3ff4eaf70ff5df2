// Claims and facts for tests of the controller's pure functions: one ordinary import on a connected node, changed where a test says so.
import type { ClaimFacts } from '../controller/claims/claim-actions.ts';
import type { HttpContent } from '../controller/inputs/source-content.ts';
import type { HeldVolume, NodePool, NodeState } from '../controller/nodes/node-views.ts';
import { annotations, volumeFinalizer } from '../domain/annotations.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import { volumeIdOf } from '../domain/volume-record.ts';
import { planRetry } from '../jobs/retry-policy.ts';
import { loadConfig } from '../runtime/config.ts';

export const claimUid = '00000000-0000-4000-8000-00000000000a';
export const volumeId = volumeIdOf(claimUid);
export const now = new Date('2026-01-01T00:00:00Z');

const config = loadConfig({ LONGSHORE_ATTEMPT_LIMIT: '3', LONGSHORE_BACKOFF_BASE_MS: '1000' });

export function poolOf(more: Partial<NodePool> = {}): NodePool {
  const room = { leftBytes: 1e12, largestVolumeBytes: 1e12 };
  return { name: 'default', directory: '/pool', ...room, fault: undefined, ...more };
}

export const connectedNode: NodeState = {
  ...{ name: 'one', connected: true, known: true, settled: true },
  pools: [poolOf()],
};

export function volumeOf(more: Partial<HeldVolume> = {}): HeldVolume {
  return {
    ...{ schemaVersion: 1, volumeId, owner: { namespace: 'ns', name: 'disk', uid: claimUid } },
    ...{ mode: 'Filesystem', sizeBytes: 1_048_576, generation: 1, state: 'populating', fence: 1 },
    createdAt: '2026-01-01T00:00:00Z',
    pool: 'default',
    ...more,
  };
}

export function httpOf(url: string, more: Partial<HttpContent> = {}): HttpContent {
  return { kind: 'http', url, extraHeaders: [], secretExtraHeaders: [], insecureSkipVerify: false, ...more };
}

export function factsOf(more: Partial<ClaimFacts> = {}): ClaimFacts {
  return {
    content: { kind: 'image', source: httpOf('http://host/disk') },
    ...{
      ours: true,
      provisionedBy: 'channel',
      waitsForConsumer: false,
      volumeId,
      sectorBytes: undefined,
      node: connectedNode,
      pool: 'default',
      volume: volumeOf(),
    },
    ...{ live: undefined, enqueued: false, readiness: { ready: true }, outcome: undefined },
    ...{ cancelRequested: false, obstacle: undefined, growthFault: undefined, now },
    plan: ({ fault, state, bytesFetched }) =>
      planRetry({
        ...{ fault, bytesFetched, config, chance: 0 },
        ...{ attempt: state.attempt, countedAttempts: state.failures, sourceBytes: state.sourceBytes },
      }),
    ...more,
  };
}

/** A claim as the controller holds it. */
export function claimOf(told: Record<string, string> = {}, more: Partial<Claim> = {}): Claim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      ...{ namespace: 'ns', name: 'disk', uid: claimUid, finalizers: [volumeFinalizer] },
      annotations: { [annotations.contentType]: 'kubevirt', ...told },
    },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
    ...more,
  };
}
