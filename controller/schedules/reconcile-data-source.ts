// Says of a DataSource whether what it stands for can be cloned now: its condition Ready, in CDI's words, and its status. Labels by which KubeVirt chooses
// instance types come from what it stands for. Pure.
import { isDeepStrictEqual } from 'node:util';
import { labels } from '../../domain/annotations.ts';
import type { DataSource } from '../../domain/custom-resources/data-source.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { type NamedSource, sourceNamedBy } from '../../domain/named-source.ts';
import { dated, type Wanted } from '../dated-condition.ts';

export interface DataSourceFacts {
  /** The DataSource that it refers to. */
  referenced: DataSource | undefined;
  /** The claim that it stands for, and the DataVolume of that name. */
  claim: Claim | undefined;
  dataVolume: DataVolume | undefined;
  now: Date;
}

/** @returns the DataSource as it is to be; itself where nothing changes */
export function reconcileDataSource(dataSource: DataSource, facts: DataSourceFacts): DataSource {
  const named = sourceNamedBy(dataSource, facts.referenced);
  const wanted =
    'problem' in named ? notReady(named.problem.reason, named.problem.message) : readiness(named.source, facts);
  const isReady = wanted.status === 'True' && 'source' in named;
  const before = dataSource.status;
  // Where it stands for something else, Ready says so from now on.
  const isOther = isReady && before?.source !== undefined && !isDeepStrictEqual(before.source, named.source);
  const former = isOther ? [] : (before?.conditions ?? []);
  const next: DataSource = {
    ...dataSource,
    metadata: { ...dataSource.metadata, ...(isReady ? withLabels(dataSource, facts) : {}) },
    status: { ...(isReady ? { source: named.source } : {}), conditions: [dated(former, wanted, facts.now)] },
  };
  return isDeepStrictEqual(next, dataSource) ? dataSource : next;
}

function notReady(reason: string, message: string): Wanted {
  return { type: 'Ready', status: 'False', reason, message };
}

/** CDI's rule: a claim counts as filled that has no DataVolume, else its DataVolume must have succeeded. */
function readiness({ pvc }: NamedSource, { claim, dataVolume }: DataSourceFacts): Wanted {
  if (pvc === undefined) {
    return notReady('UnsupportedSource', 'This version cannot clone a snapshot');
  }
  const phase = dataVolume?.status?.phase ?? '';
  if (dataVolume !== undefined && phase !== 'Succeeded') {
    return notReady(phase === '' ? 'Pending' : phase, `Import DataVolume phase ${phase}`);
  }
  if (claim === undefined) return notReady('NotFound', 'PVC not found');
  return { type: 'Ready', status: 'True', reason: 'Ready', message: 'DataSource is ready to be consumed' };
}

const passedOn = /^([\w.]+\.kubevirt\.io|kubevirt\.io)\/[\w.-]+$/;
/** They say who manages an object; a copy would take over somebody's DataSource. */
const notPassedOn: readonly string[] = [
  labels.dataImportCron,
  labels.dataImportCronCleanup,
  labels.applyStorageProfile,
];

function withLabels(
  dataSource: DataSource,
  { claim, dataVolume }: DataSourceFacts,
): { labels?: Record<string, string> } {
  const own = dataSource.metadata.labels ?? {};
  const given = Object.entries({ ...claim?.metadata.labels, ...dataVolume?.metadata.labels });
  const added = given.filter(([name]) => passedOn.test(name) && !notPassedOn.includes(name) && !(name in own));
  return added.length === 0 ? {} : { labels: { ...own, ...Object.fromEntries(added) } };
}
