// Writes of objects, as one list of named steps each: read the body, check its shape, admit it, note who manages which field, store it.
import { Fault } from '../../domain/fault.ts';
import type { KubeObject, ObjectKey } from '../../domain/object-store.ts';
import { nameFor, newObject, updatedObject, withStatus } from '../store/object-lifecycle.ts';
import type { User } from '../users.ts';
import { admissionOf } from './admission.ts';
import { type DeleteWish, markPropagation } from './delete-options.ts';
import { applyConfiguration, noteUpdate } from './field-managers.ts';
import { badRequest } from './kube-status.ts';
import { requireNamespace, validateMetadata, validateName } from './object-identity.ts';
import { requireRoom } from './object-limits.ts';
import { applyPatch, type Patch } from './patch.ts';
import { readObject } from './read-object.ts';
import type { ApiContext, WriteOptions } from './request-context.ts';
import type { ServedKind } from './served-kinds.ts';

/** Path of a status write, or of the object itself. */
export type Part = 'object' | 'status';

/** How often a patch without a resourceVersion is tried again on top of somebody else's change. */
const patchTries = 5;

export class ObjectService {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** @throws Fault MalformedRequest, InvalidRequest, NotFound (namespace), Forbidden, AlreadyExists, TooLarge, Quota */
  async create(
    kind: ServedKind,
    namespace: string | undefined,
    body: unknown,
    options: WriteOptions,
  ): Promise<KubeObject> {
    const read = readObject(kind, { namespace }, body, options);
    validateName(kind, read);
    requireNamespace(this.#context.store, kind, namespace);
    const admitted = await this.#admit(kind, read, options);
    return this.#store(
      kind,
      noteUpdate(kind, undefined, admitted, { manager: options.fieldManager, part: 'object' }),
      options,
    );
  }

  /** @throws Fault MalformedRequest, InvalidRequest, NotFound, Conflict, TooLarge, Quota */
  async update(
    kind: ServedKind,
    key: ObjectKey,
    part: Part,
    body: unknown,
    options: WriteOptions,
  ): Promise<KubeObject> {
    const stored = this.#existing(kind, key);
    const read = readObject(kind, key, body, options);
    return this.#change(kind, stored, read, part, options);
  }

  /** @throws Fault as update, and UnsupportedMediaType; Conflict also where an apply meets fields of another manager */
  async patch(kind: ServedKind, key: ObjectKey, part: Part, patch: Patch, options: WriteOptions): Promise<KubeObject> {
    if (patch.form === 'apply') return this.#apply(kind, key, part, patch.body, options);
    for (let tries = 1; ; tries += 1) {
      const stored = this.#existing(kind, key);
      const patched = readObject(kind, key, applyPatch(kind, stored, patch), options);
      const pinned = patched.metadata.resourceVersion !== stored.metadata.resourceVersion;
      try {
        return await this.#change(kind, stored, patched, part, options);
      } catch (error) {
        if (!(error instanceof Fault && error.code === 'Conflict') || pinned || tries >= patchTries) throw error;
      }
    }
  }

  /** @returns the object while finalizers keep it, with its deletionTimestamp; its last state where it disappeared */
  async delete(kind: ServedKind, key: ObjectKey, wish: DeleteWish): Promise<{ object: KubeObject; gone: boolean }> {
    const stored = this.#existing(kind, key);
    await admissionOf(kind).remove?.(stored, this.#context);
    const gone = (object: KubeObject): boolean => (object.metadata.finalizers ?? []).length === 0;
    if (wish.dryRun) return { object: stored, gone: gone(stored) };
    await markPropagation(this.#context.store, kind, stored, wish);
    const object = await this.#context.store.delete(kind.ref, key, wish.preconditions);
    return { object, gone: gone(object) };
  }

  /** Names come first: admission may look for other objects of the same name. */
  async #admit(kind: ServedKind, object: KubeObject, options: WriteOptions): Promise<KubeObject> {
    const named = { ...object, metadata: { ...object.metadata, name: nameFor(object.metadata) } };
    return admissionOf(kind).create(named, this.#context, options);
  }

  #existing(kind: ServedKind, key: ObjectKey): KubeObject {
    const stored = this.#context.store.latest(kind.ref, key);
    if (stored !== undefined) return stored;
    const group = kind.ref.group === '' ? '' : `.${kind.ref.group}`;
    throw new Fault('NotFound', `${kind.ref.plural}${group} "${key.name}" not found`);
  }

  async #apply(
    kind: ServedKind,
    key: ObjectKey,
    part: Part,
    body: unknown,
    options: WriteOptions,
  ): Promise<KubeObject> {
    if (options.fieldManager === '')
      throw badRequest(
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      );
    const configuration = readObject(kind, key, body, options, true);
    if (configuration.metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
    for (let tries = 1; ; tries += 1) {
      const stored = this.#context.store.latest(kind.ref, key);
      const by = { manager: options.fieldManager, force: options.force, part };
      const wish = admissionOf(kind).configuration?.(configuration, stored, options.identity) ?? configuration;
      const applied = readObject(kind, key, applyConfiguration(kind, stored, wish, by), options);
      try {
        if (stored !== undefined) return await this.#commit(kind, stored, applied, part, options);
        validateName(kind, applied);
        requireNamespace(this.#context.store, kind, key.namespace);
        return await this.#store(kind, await this.#admit(kind, applied, options), options);
      } catch (error) {
        const raced = error instanceof Fault && (error.code === 'Conflict' || error.code === 'AlreadyExists');
        if (!raced || configuration.metadata.resourceVersion !== undefined || tries >= patchTries) throw error;
      }
    }
  }

  #change(
    kind: ServedKind,
    stored: KubeObject,
    asked: KubeObject,
    part: Part,
    options: WriteOptions,
  ): Promise<KubeObject> {
    // Only what was admitted counts as set.
    const note = (object: KubeObject) => noteUpdate(kind, stored, object, { manager: options.fieldManager, part });
    return this.#commit(kind, stored, asked, part, options, note);
  }

  async #commit(
    kind: ServedKind,
    stored: KubeObject,
    asked: KubeObject,
    part: Part,
    options: WriteOptions,
    note: (object: KubeObject) => KubeObject = (object) => object,
  ): Promise<KubeObject> {
    const { store } = this.#context;
    if (part === 'status') {
      const noted = note(asked);
      requireRoom(this.#context, kind, noted, stored);
      return options.dryRun ? withStatus(kind.ref, stored, noted) : store.updateStatus(kind.ref, noted);
    }
    const admitted = note(await admissionOf(kind).update(asked, stored, this.#context, options));
    requireRoom(this.#context, kind, admitted, stored);
    validateMetadata(kind, admitted, stored);
    return options.dryRun ? updatedObject(kind.ref, stored, admitted) : store.update(kind.ref, admitted);
  }

  async #store(kind: ServedKind, object: KubeObject, options: WriteOptions): Promise<KubeObject> {
    const { store, users } = this.#context;
    requireRoom(this.#context, kind, object, undefined);
    validateMetadata(kind, object, undefined);
    if (options.dryRun) {
      const name = nameFor(object.metadata);
      if (store.entry(kind.ref, { ...object.metadata, name }) !== undefined) {
        throw new Fault('AlreadyExists', `${kind.ref.plural} "${name}" already exists`);
      }
      return newObject(kind.ref, object, name);
    }
    // Safe: checked against the schema of users just before.
    return kind.ref.plural === 'users' ? users.create(object as User) : store.create(kind.ref, object);
  }
}
