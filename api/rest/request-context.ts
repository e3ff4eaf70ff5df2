// What every part of the API shares: the store, who may do what, and the outside parts that main passes in.
import type { DataVolumeSource } from '../../domain/data-volume.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { UploadTokens } from '../../runtime/upload-tokens.ts';
import type { Identity } from '../authorizer.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';
import type { Users } from '../users.ts';

/** What the service does besides keeping objects; main connects it with the controller. Faults travel as they are; a signal ends the work, too. */
export interface Operations {
  digest(
    namespace: string,
    name: string,
    sha256: boolean,
    signal: AbortSignal,
  ): Promise<{ contentDigest: string; sha256?: string; path: string }>;
  doctor(): Promise<unknown>;
  removeFinding(finding: { node: string; pool: string; path: string }): Promise<void>;
  restoreFinding(finding: { node: string; pool: string; path: string }): Promise<void>;
  /** How large a volume of that pool, or of any, may be; undefined where a pool that may be meant has not told. */
  largestVolumeBytes(pool: string | undefined): number | undefined;
  /** What a source serves, from its first bytes, with the secrets and config maps of the namespace that it names. */
  probe(
    source: DataVolumeSource,
    namespace: string,
    signal: AbortSignal,
  ): Promise<{ format: string; virtualSizeBytes?: number; sourceBytes?: number }>;
}

export interface ApiContext {
  readonly store: SqliteStore;
  readonly users: Users;
  readonly tokens: Pick<UploadTokens, 'issue'>;
  readonly tokenLifetimeSeconds: number;
  /** Of all objects together; see object-limits.ts. */
  readonly storeBudgetBytes: number;
  readonly operations: Operations;
  readonly logger: Logger;
}

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

/** What a write request says besides its object. */
export interface WriteOptions {
  readonly identity: Identity;
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
  readonly fieldManager: string;
  readonly force: boolean;
  /** Sentences for the Warning header of the answer. */
  readonly warnings: string[];
}
