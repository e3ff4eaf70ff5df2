// Objects of the embedded store that come back as they were, for volumes that outlived it. Whether all was looked for stands on the namespace that every store
// has from its first moment.
import type { ObjectRestorer } from '../controller/nodes/lost-store.ts';
import { annotations } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import type { KubeObject } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { admitNamespace } from './rest/admission-small.ts';
import { firstNamespace } from './seed.ts';
import type { SqliteStore } from './store/sqlite-store.ts';

export function objectRestorer(store: SqliteStore): ObjectRestorer {
  return {
    async isNew() {
      const first = await store.get<KubeObject>(resources.namespaces, { name: firstNamespace });
      // Before the seed nothing is in it, and so afterwards.
      return first === undefined || first.metadata.annotations?.[annotations.rebuild] !== undefined;
    },

    async settle() {
      const first = store.latest<KubeObject>(resources.namespaces, { name: firstNamespace });
      if (first === undefined) return;
      const { [annotations.rebuild]: _, ...kept } = first.metadata.annotations ?? {};
      await store.update<KubeObject>(resources.namespaces, {
        ...first,
        metadata: { ...first.metadata, annotations: kept },
      });
    },

    async namespace(name) {
      if (store.latest(resources.namespaces, { name }) !== undefined) return;
      const namespace = admitNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      await store.create<KubeObject>(resources.namespaces, namespace);
    },

    async claim(claim) {
      if (claim.metadata.uid === undefined) throw new Fault('Internal', `${claim.metadata.name} had no uid`);
      return await store.restore(resources.claims, claim);
    },
  };
}
