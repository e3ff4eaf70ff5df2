// Who we are to a registry: nobody until it asks, then a user or the bearer of a token. A token that has run out while a long blob is read is replaced
// once, whoever notices first. Credentials go to the registry and to the token server that it names, never over a connection that is less safe than its own.

import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../../domain/fault.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { HttpAnswer } from '../http/http-answer.ts';
import { HttpConnection, type HttpLocation } from '../http/http-connection.ts';
import { faultOfAnswer, placeOf } from '../http/http-faults.ts';
import { basicOf, type HttpUser } from '../http/http-user.ts';
import { type AuthChallenge, parseChallenge } from './auth-challenge.ts';
import { readWhole } from './read-whole.ts';

export interface LoginPlace extends Pick<HttpLocation, 'certificates' | 'insecureSkipVerify' | 'proxy'> {
  /** Such as https://registry.example. */
  origin: string;
  repository: string;
  credentials?: HttpUser;
}

const TokenAnswer = Type.Object({
  token: Type.Optional(Type.String()),
  access_token: Type.Optional(Type.String()),
});
const tokenCheck = Compile(TokenAnswer);
const mostTokenBytes = 256 * 1024;

export class RegistryLogin {
  readonly #place: LoginPlace;
  readonly #surroundings: Pick<DecoderSurroundings, 'config' | 'signal'>;
  #authorization: string | undefined;
  #renewal: Promise<void> | undefined;

  constructor(place: LoginPlace, surroundings: Pick<DecoderSurroundings, 'config' | 'signal'>) {
    this.#place = place;
    this.#surroundings = surroundings;
  }

  /** Value of Authorization for the next request; undefined while nobody asked. */
  get authorization(): string | undefined {
    return this.#authorization;
  }

  /**
   * Meets what a 401 asks for.
   * @param used what the request carried
   * @returns false where nothing better can be sent
   * @throws Fault of the group source where the token server gives none
   */
  async meet(answer: HttpAnswer, used: string | undefined): Promise<boolean> {
    if (this.#authorization !== used) return true; // another request met it meanwhile
    const challenge = parseChallenge(answer.headers['www-authenticate']);
    if (challenge === undefined || (challenge.scheme === 'basic' && !this.#mayTryBasic(used))) return false;
    this.#renewal ??= this.#renew(challenge).finally(() => {
      this.#renewal = undefined;
    });
    await this.#renewal;
    return true;
  }

  #mayTryBasic(used: string | undefined): boolean {
    return used === undefined && this.#place.credentials !== undefined;
  }

  async #renew(challenge: AuthChallenge): Promise<void> {
    if (challenge.scheme === 'bearer') {
      this.#authorization = `Bearer ${await this.#token(challenge)}`;
      return;
    }
    const { credentials } = this.#place;
    this.#authorization = credentials === undefined ? undefined : basicOf(credentials);
  }

  async #token(challenge: Extract<AuthChallenge, { scheme: 'bearer' }>): Promise<string> {
    const url = this.#tokenUrl(challenge);
    const { certificates, insecureSkipVerify, proxy, credentials } = this.#place;
    const location: HttpLocation = {
      ...{ url, headers: [], certificates, insecureSkipVerify },
      ...(credentials === undefined ? {} : { credentials }),
      ...(proxy === undefined ? {} : { proxy }),
    };
    const connection = new HttpConnection(location, this.#surroundings.config, this.#surroundings.signal);
    try {
      const answer = await connection.get({ accept: 'application/json' });
      const fault = faultOfAnswer(answer);
      if (fault !== undefined) throw fault;
      return tokenIn(await readWhole(answer, mostTokenBytes, this.#surroundings.signal), url);
    } finally {
      await connection.close();
    }
  }

  /** @throws Fault SourceRefused */
  #tokenUrl({ realm, service, scopes }: Extract<AuthChallenge, { scheme: 'bearer' }>): string {
    const { origin, repository } = this.#place;
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
    if (url === undefined || !isWeb || url.username !== '' || url.password !== '') {
      throw new Fault('SourceRefused', `${origin} names a token server that is none`);
    }
    if (url.protocol === 'http:' && origin.startsWith('https:')) {
      throw new Fault('SourceRefused', `${origin} names a token server without TLS: ${placeOf(url.href)}`);
    }
    if (service !== undefined) url.searchParams.set('service', service);
    const wanted = scopes.length === 0 ? [`repository:${repository}:pull`] : scopes;
    for (const scope of wanted) url.searchParams.append('scope', scope);
    return url.href;
  }
}

/** @throws Fault SourceRefused for an answer without a token that could stand in a header */
function tokenIn(bytes: Buffer, url: string): string {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new Fault('SourceRefused', `${placeOf(url)}: its answer is no JSON`, { cause });
  }
  const token = tokenCheck.Check(value) ? (value.token ?? value.access_token) : undefined;
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw new Fault('SourceRefused', `${placeOf(url)}: its answer holds no token`);
  }
  return token;
}
