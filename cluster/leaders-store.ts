// The object store of a process that leads: it writes nothing once its lease may be another's. A process that was stopped for longer than its lease lasts, and
// goes on, finds in its memory what to write long before it hears that another leads.
import type { ObjectStore } from '../domain/object-store.ts';
import type { Leadership } from './leader-lease.ts';

/** Writes throw what `assertHeld` throws, before anything is sent; reading goes on. */
export function leadersStore(store: ObjectStore, { assertHeld }: Pick<Leadership, 'assertHeld'>): ObjectStore {
  const whileHeld = async <T>(write: () => Promise<T>): Promise<T> => {
    assertHeld();
    return write();
  };
  return {
    get: (resource, key) => store.get(resource, key),
    list: (resource, options) => store.list(resource, options),
    watch: (resource, options) => store.watch(resource, options),
    create: (resource, object) => whileHeld(() => store.create(resource, object)),
    update: (resource, object) => whileHeld(() => store.update(resource, object)),
    updateStatus: (resource, object) => whileHeld(() => store.updateStatus(resource, object)),
    delete: (resource, key, preconditions) => whileHeld(() => store.delete(resource, key, preconditions)),
  };
}
