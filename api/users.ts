// The people and programs that may use the API, with a role and namespaces. A bearer token is told once, when it is made; only its sha256
// is kept (the token is 256 random bits, so a slow hash would protect nothing more).
import { createHash, randomBytes } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { Fault } from '../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import type { Identity } from './authorizer.ts';
import type { SqliteStore } from './store/sqlite-store.ts';
import { objectOf } from './store/stored-entry.ts';

export const UserSpec = Type.Object(
  {
    role: Type.Union([Type.Literal('admin'), Type.Literal('edit'), Type.Literal('view')], {
      description: 'admin, edit or view, as in Kubernetes',
    }),
    namespaces: Type.Optional(
      Type.Array(Type.String(), { description: 'namespaces for which the role holds; none: all' }),
    ),
  },
  { description: 'what the user may do' },
);

export interface User extends KubeObject {
  apiVersion: 'longshore.dev/v1alpha1';
  kind: 'User';
  spec: Static<typeof UserSpec>;
  /** Only in the answer to a create. */
  status?: { token?: string };
}

interface UserToken extends KubeObject {
  kind: 'UserToken';
  spec: { userUid: string; sha256: string };
}

export const usersResource: ResourceRef<User> = {
  group: 'longshore.dev',
  version: 'v1alpha1',
  plural: 'users',
  kind: 'User',
  namespaced: false,
};

/** Never served: named after the user, holds the hash. */
export const userTokensResource: ResourceRef<UserToken> = {
  group: 'internal.longshore.dev',
  version: 'v1',
  plural: 'usertokens',
  kind: 'UserToken',
  namespaced: false,
};

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

export class Users {
  readonly #store: SqliteStore;
  /** Hash to name of the user. */
  readonly #names = new Map<string, string>();

  constructor(store: SqliteStore) {
    this.#store = store;
    for (const entry of store.entries(userTokensResource)) {
      const token = objectOf<UserToken>(entry);
      this.#names.set(token.spec.sha256, token.metadata.name);
    }
  }

  /** @returns the user with `status.token`, told this once. @throws Fault AlreadyExists */
  async create(user: User): Promise<User> {
    const { status: _status, ...asked } = user;
    const made = await this.#store.create(usersResource, asked as User);
    return { ...made, status: { token: await this.renewToken(made.metadata.name) } };
  }

  /** Makes a new token; the former one is void at once. @throws Fault NotFound */
  async renewToken(name: string): Promise<string> {
    const user = await this.#store.get(usersResource, { name });
    if (user === undefined) throw new Fault('NotFound', `users.longshore.dev "${name}" not found`);
    const token = `longshore-${randomBytes(32).toString('base64url')}`;
    const sha256 = hashOf(token);
    const former = await this.#store.get(userTokensResource, { name });
    const uid = user.metadata.uid ?? '';
    const kept: UserToken = {
      apiVersion: 'internal.longshore.dev/v1',
      kind: 'UserToken',
      metadata: {
        name,
        ownerReferences: [{ apiVersion: 'longshore.dev/v1alpha1', kind: 'User', name, uid }],
      },
      spec: { userUid: uid, sha256 },
    };
    if (former === undefined) await this.#store.create(userTokensResource, kept);
    else await this.#store.update(userTokensResource, kept);
    if (former !== undefined) this.#names.delete(former.spec.sha256);
    this.#names.set(sha256, name);
    return token;
  }

  /** The first start makes user `admin`, who may do everything. @returns its token then, else undefined */
  async ensureAdmin(): Promise<string | undefined> {
    if (this.#store.entries(usersResource).length > 0) {
      // A first start that was cut short between the user and its token.
      const untold = this.#names.size === 0 && this.#store.entry(usersResource, { name: 'admin' }) !== undefined;
      return untold ? this.renewToken('admin') : undefined;
    }
    const admin = await this.create({
      apiVersion: 'longshore.dev/v1alpha1',
      kind: 'User',
      metadata: { name: 'admin' },
      spec: { role: 'admin' },
    });
    return admin.status?.token;
  }

  /** @returns whose token it is; undefined where it is nobody's. A deleted user's token is void at once. */
  identify(token: string): Identity | undefined {
    const sha256 = hashOf(token);
    const name = this.#names.get(sha256);
    if (name === undefined) return undefined;
    const [userEntry, tokenEntry] = [
      this.#store.entry(usersResource, { name }),
      this.#store.entry(userTokensResource, { name }),
    ];
    if (userEntry === undefined || tokenEntry === undefined) return undefined;
    const { userUid, sha256: current } = objectOf<UserToken>(tokenEntry).spec;
    if (userUid !== userEntry.uid || current !== sha256) return undefined;
    return this.named(name);
  }

  /** @returns undefined where there is no such user */
  named(name: string): Identity | undefined {
    const entry = this.#store.entry(usersResource, { name });
    if (entry === undefined) return undefined;
    const { role, namespaces = [] } = objectOf<User>(entry).spec;
    return { name, uid: entry.uid, role, namespaces, groups: [`longshore:${role}`, 'system:authenticated'] };
  }
}
