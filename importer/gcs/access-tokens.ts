// Access tokens for a Google service account: its key signs an assertion, which the token service exchanges for a token that lives for an hour
// (RFC 7523; "Using OAuth 2.0 for Server to Server Applications"). One token serves until it is about to end, or until the server refuses it.
import { importPKCS8, SignJWT } from 'jose';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../../domain/fault.ts';
import { textOf } from '../http/http-answer.ts';
import { faultOfAnswer } from '../http/http-faults.ts';
import type { HttpTransport } from '../http/http-transport.ts';

const scope = 'https://www.googleapis.com/auth/devstorage.read_only';
const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const assertionSeconds = 3_600;
/** A token is not used any more when it ends this soon. */
const reserveMs = 60_000;

const ServiceAccount = Type.Object({
  type: Type.Literal('service_account'),
  client_email: Type.String({ minLength: 1 }),
  private_key: Type.String({ minLength: 1 }),
  private_key_id: Type.Optional(Type.String()),
  token_uri: Type.Optional(Type.String()),
});
type ServiceAccount = Static<typeof ServiceAccount>;
const accountCheck = Compile(ServiceAccount);
const tokenCheck = Compile(Type.Object({ access_token: Type.String({ minLength: 1 }), expires_in: Type.Number() }));

export class AccessTokens {
  readonly #account: ServiceAccount;
  readonly #tokenUrl: URL;
  readonly #transport: HttpTransport;
  /** One request for a token, whoever waits for it. */
  #current: Promise<{ token: string; endsAt: number }> | undefined;

  /**
   * @param keyFile JSON that Google gives out for a service account
   * @throws Fault SourceUnauthorized where it is none
   */
  constructor(keyFile: string, transport: HttpTransport) {
    this.#account = parseKeyFile(keyFile);
    this.#tokenUrl = tokenUrlOf(this.#account);
    this.#transport = transport;
  }

  /** @throws Fault SourceUnauthorized where no token is given, and those of a request */
  async token(): Promise<string> {
    this.#current ??= this.#fetch();
    const asked = this.#current;
    try {
      const { token, endsAt } = await asked;
      if (Date.now() < endsAt - reserveMs) return token;
    } catch (error) {
      if (this.#current === asked) this.#current = undefined;
      throw error;
    }
    if (this.#current === asked) this.#current = this.#fetch();
    return this.token();
  }

  /** The server refuses it: the next one is a new one. */
  async drop(refused: string): Promise<void> {
    const asked = this.#current;
    if ((await asked)?.token === refused && this.#current === asked) this.#current = undefined;
  }

  async #fetch(): Promise<{ token: string; endsAt: number }> {
    const askedAt = Date.now();
    const form = new URLSearchParams({ grant_type: grantType, assertion: await this.#assertion() });
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const answer = await this.#transport.send(this.#tokenUrl, headers, form.toString());
    const text = await textOf(answer);
    if (answer.status !== 200) throw refusalOf(answer, text);
    const given = parseJson(text);
    if (!tokenCheck.Check(given)) throw new Fault('SourceRefused', `${answer.url} answered with no access token`);
    // However short it is, one token is good for one request at least.
    const endsAt = Math.max(askedAt + given.expires_in * 1_000, Date.now() + reserveMs + 1_000);
    return { token: given.access_token, endsAt };
  }

  async #assertion(): Promise<string> {
    const { client_email: email, private_key: key, private_key_id: keyId } = this.#account;
    try {
      return await new SignJWT({ scope })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', ...(keyId === undefined ? {} : { kid: keyId }) })
        .setIssuer(email)
        .setAudience(this.#tokenUrl.href)
        .setIssuedAt()
        .setExpirationTime(`${assertionSeconds}s`)
        .sign(await importPKCS8(key, 'RS256'));
    } catch (cause) {
      throw new Fault('SourceUnauthorized', 'the private key of the service account cannot be used', { cause });
    }
  }
}

function parseKeyFile(text: string): ServiceAccount {
  const parsed = parseJson(text);
  if (accountCheck.Check(parsed)) return parsed;
  throw new Fault('SourceUnauthorized', 'credentials.json is not the key file of a service account');
}

function tokenUrlOf({ token_uri: text = 'https://oauth2.googleapis.com/token' }: ServiceAccount): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new Fault('SourceUnauthorized', 'token_uri of the service account is not a valid http or https URL');
}

/** An OAuth error (RFC 6749, 5.2) tells by a word what is wrong with the account; everything else goes by the status. */
function refusalOf(answer: Parameters<typeof faultOfAnswer>[0], text: string): Fault {
  const parsed = parseJson(text);
  const error = typeof parsed === 'object' && parsed !== null && 'error' in parsed ? parsed.error : undefined;
  const fault = faultOfAnswer(answer) ?? new Fault('SourceRefused', `${answer.url} answered ${answer.status}`);
  if (fault.retryable || typeof error !== 'string' || !/^[a-z_]{1,64}$/.test(error)) return fault;
  return new Fault('SourceUnauthorized', `no access token for the service account: ${fault.detail} ${error}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no JSON, which is no answer either
  }
}
