// Lists and objects as meta.k8s.io/v1 Tables, which `kubectl get` asks for and prints.
import type { KubeObject } from '../../domain/object-store.ts';
import type { ServedKind } from './served-kinds.ts';

export type IncludeObject = 'Metadata' | 'Object' | 'None';

interface TableRow {
  cells: unknown[];
  object?: unknown;
}

export interface Table {
  kind: 'Table';
  apiVersion: string;
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
  columnDefinitions?: { name: string; type: string; format: string; description: string; priority: number }[];
  rows: TableRow[];
}

function rowObject(object: KubeObject, include: IncludeObject): unknown {
  if (include === 'None') return undefined;
  if (include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/** @param withColumns false after the first event of a watch, as Kubernetes does */
export function tableOf(
  kind: ServedKind,
  objects: readonly KubeObject[],
  metadata: Table['metadata'],
  options: { include: IncludeObject; withColumns?: boolean; now?: Date },
): Table {
  const now = options.now ?? new Date();
  const columnDefinitions = kind.columns.map(({ name, type, format = '', description, priority = 0 }) => {
    return { name, type, format, description, priority };
  });
  const rows = objects.map((object) => {
    const shown = rowObject(object, options.include);
    const cells = kind.columns.map((column) => column.value(object, now));
    return shown === undefined ? { cells } : { cells, object: shown };
  });
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    ...(options.withColumns === false ? {} : { columnDefinitions }),
    rows,
  };
}
