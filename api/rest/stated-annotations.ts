// Annotations by which the service tells the state of a claim: users neither set nor change them. What they send is dropped without an error, as CDI's
// and Kubernetes' own status is, so that an exported manifest can be applied again.
import { annotations, statedAnnotations } from '../../domain/annotations.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import type { Identity } from '../authorizer.ts';

const everyStated: ReadonlySet<string> = new Set(statedAnnotations);
/** What was found about a clone when it was asked for. */
const found: ReadonlySet<string> = new Set([annotations.requester, annotations.cloneSource]);
const withNode: ReadonlySet<string> = new Set([...statedAnnotations, annotations.selectedNode]);

/**
 * @param stored undefined where the object is to be created
 * @returns the object that is asked, with these annotations as they are stored. The node of a claim is a wish until it has its volume.
 */
export function keepStated<T extends KubeObject>(asked: T, stored: KubeObject | undefined, identity: Identity): T {
  if (identity.role === 'everything') return asked;
  const kept = statedOf(stored);
  const isKept = ([name]: [string, string]) => kept.has(name);
  const given = Object.entries(asked.metadata.annotations ?? {}).filter((entry) => !isKept(entry));
  const told = Object.entries(stored?.metadata.annotations ?? {}).filter(isKept);
  const { annotations: before, ...metadata } = asked.metadata;
  const all = Object.fromEntries([...given, ...told]);
  const hasNone = before === undefined && told.length === 0;
  return { ...asked, metadata: hasNone ? metadata : { ...metadata, annotations: all } };
}

/** The configuration of an apply without these annotations, so that its manager does not count as who set them. */
export function withoutStated(
  configuration: KubeObject,
  stored: KubeObject | undefined,
  identity: Identity,
): KubeObject {
  const { annotations: given, ...metadata } = configuration.metadata;
  if (identity.role === 'everything' || given === undefined) return configuration;
  const kept = statedOf(stored);
  const own = Object.entries(given).filter(([name]) => !kept.has(name) && !found.has(name));
  return { ...configuration, metadata: { ...metadata, annotations: Object.fromEntries(own) } };
}

function statedOf(stored: KubeObject | undefined): ReadonlySet<string> {
  return hasVolume(stored) ? withNode : everyStated;
}

function hasVolume(stored: KubeObject | undefined): boolean {
  const spec = stored?.['spec'];
  return typeof spec === 'object' && spec !== null && 'volumeName' in spec;
}
