// Upload tokens: JWS PS256 with CDI's claims and the uid of the claim (domain/upload-token.ts). The API issues them with the private key;
// the upload proxy holds the public key only.
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { JWTExpired } from 'jose/errors';
import { SignJWT } from 'jose/jwt/sign';
import { jwtVerify } from 'jose/jwt/verify';
import { Compile, type Validator } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import { TokenClaims, tokenIssuer } from '../domain/upload-token.ts';
import { writeDurably } from './durable-file.ts';
import type { Logger } from './logger.ts';

const algorithm = 'PS256';
const leewaySeconds = 10;
const keyBits = 2048;

/** The claim that a token is for. */
export interface TokenTarget {
  namespace: string;
  name: string;
  uid: string;
}

interface TokenKeys {
  publicKey: KeyObject;
  privateKey?: KeyObject;
}

export class UploadTokens {
  #keys: TokenKeys;
  readonly #read: () => Promise<TokenKeys>;
  #reading: Promise<void> = Promise.resolve();
  readonly #lifetimeSeconds: number;
  readonly #validator: Validator = Compile(TokenClaims);

  private constructor(keys: TokenKeys, read: () => Promise<TokenKeys>, lifetimeSeconds: number) {
    this.#keys = keys;
    this.#read = read;
    this.#lifetimeSeconds = lifetimeSeconds;
  }

  /** Makes `upload-token.key` (0600) and `upload-token.pub` where there are none yet. Takes some 100 ms the first time. */
  static async ensureKeys(directory: string): Promise<void> {
    if ((await readKey(join(directory, 'upload-token.pub'))) !== undefined) return;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const pair = await promisify(generateKeyPair)('rsa', { modulusLength: keyBits });
    await writeDurably(
      join(directory, 'upload-token.key'),
      pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      0o600,
    );
    await writeDurably(
      join(directory, 'upload-token.pub'),
      pair.publicKey.export({ type: 'spki', format: 'pem' }),
      0o644,
    );
  }

  /** For who issues and verifies. Makes the keys where there are none yet. */
  static async open(directory: string, options: { lifetimeSeconds: number }): Promise<UploadTokens> {
    await UploadTokens.ensureKeys(directory);
    const read = async () => {
      const privateKey = createPrivateKey(await readFile(join(directory, 'upload-token.key')));
      return { privateKey, publicKey: createPublicKey(privateKey) };
    };
    return new UploadTokens(await read(), read, options.lifetimeSeconds);
  }

  /** For who verifies only. @throws Fault NotFound where no key was made yet */
  static async openVerifier(directory: string): Promise<UploadTokens> {
    const read = async () => {
      const key = await readKey(join(directory, 'upload-token.pub'));
      if (key === undefined) throw new Fault('NotFound', `no upload-token.pub in ${directory}`);
      return { publicKey: createPublicKey(key) };
    };
    return new UploadTokens(await read(), read, 0);
  }

  /** Takes the keys that are there now, where others took the place of the former ones; a token by those is good no longer. One that cannot be read is logged, and the former goes on. */
  takeKeys(logger: Logger): Promise<void> {
    // One after another: the last to be read are the newest.
    this.#reading = this.#reading.then(async () => {
      try {
        this.#keys = await this.#read();
      } catch (error) {
        logger.error({ err: toFault(error) }, 'the keys of upload tokens could not be read again');
      }
    });
    return this.#reading;
  }

  /** A token that opens the upload into this claim, and into no later one of the same name. */
  async issue(target: TokenTarget, now: Date = new Date()): Promise<string> {
    const { privateKey } = this.#keys;
    if (privateKey === undefined) throw new Fault('Internal', 'this process may not issue tokens');
    const seconds = Math.floor(now.getTime() / 1000);
    const claims: TokenClaims = {
      iss: tokenIssuer,
      iat: seconds,
      nbf: seconds,
      exp: seconds + this.#lifetimeSeconds,
      operation: 'Upload',
      name: target.name,
      namespace: target.namespace,
      resource: { group: '', version: 'v1', resource: 'persistentvolumeclaims' },
      params: { uid: target.uid },
    };
    return new SignJWT(claims).setProtectedHeader({ alg: algorithm }).sign(privateKey);
  }

  /**
   * Signature, algorithm (PS256 and nothing else), issuer and times with CDI's 10 s of leeway. What the claims ask for is the caller's to check.
   * @throws Fault TokenExpired, TokenInvalid; MalformedRequest where it is signed by us and yet is no token of CDI's shape
   */
  async verify(token: string, now: Date = new Date()): Promise<TokenClaims> {
    const payload = await this.#payloadOf(token, now);
    if (!this.#validator.Check(payload)) throw new Fault('MalformedRequest', 'the token lacks a claim');
    // Safe: just checked against the schema that the type comes from.
    const claims = payload as TokenClaims;
    if (claims.iat > now.getTime() / 1000 + leewaySeconds) {
      throw new Fault('TokenInvalid', 'the token was issued in the future');
    }
    return claims;
  }

  async #payloadOf(token: string, now: Date): Promise<unknown> {
    try {
      const verified = await jwtVerify(token, this.#keys.publicKey, {
        algorithms: [algorithm],
        issuer: tokenIssuer,
        clockTolerance: leewaySeconds,
        currentDate: now,
        requiredClaims: ['exp', 'nbf', 'iat'],
      });
      return verified.payload;
    } catch (error) {
      if (error instanceof JWTExpired) throw new Fault('TokenExpired', 'the token has expired', { cause: error });
      throw new Fault('TokenInvalid', error instanceof Error ? error.message : 'not a token', { cause: error });
    }
  }
}

async function readKey(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
