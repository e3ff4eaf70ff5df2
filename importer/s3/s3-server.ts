// One object on an S3 server, for HttpSource: each request is signed by the AWS SDK and goes through our transport. Bucket, key and keys stay the same over
// all requests; the region, and how far the server's clock is off ours, are learnt from its first refusal.
import { GetObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import type { ContentServer } from '../http/content-server.ts';
import type { HttpAnswer } from '../http/http-answer.ts';
import { HttpTransport, type TransportSettings } from '../http/http-transport.ts';
import { roleCredentials } from './role-credentials.ts';
import { inRegion, parseS3Url, type S3Place } from './s3-place.ts';
import { faultOfRefusal, refusalOf, type S3Refusal, type S3Right } from './s3-refusal.ts';
import { type Exchange, SdkTransport } from './sdk-transport.ts';

/** Where an object is, and with what right it is read: with keys, else with the role that the operator set, else with none. */
export interface S3Location extends TransportSettings {
  /** As parseS3Url takes it. */
  url: string;
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  region?: string;
}

/** The region, the clock, and both once more after a redirect. */
const correctionLimit = 3;

/** Nothing is read from the environment or from files of the user that the service runs as. */
const fixedSettings = {
  maxAttempts: 1,
  retryMode: 'standard',
  defaultsMode: 'standard',
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
  useArnRegion: false,
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  disableMultiregionAccessPoints: true,
  disableS3ExpressSessionAuth: true,
  authSchemePreference: [],
  sigv4aSigningRegionSet: [],
  userAgentAppId: '',
} satisfies S3ClientConfig;

export class S3Server implements ContentServer {
  readonly #location: S3Location;
  readonly #transport: HttpTransport;
  readonly #signal: AbortSignal;
  readonly #right: S3Right;
  readonly #role: ReturnType<typeof roleCredentials>;
  #place: S3Place;
  #client: S3Client;

  /** @throws Fault SourceRefused for a URL that names no object */
  constructor(location: S3Location, config: Config, signal: AbortSignal) {
    this.#location = location;
    this.#signal = signal;
    this.#place = parseS3Url(location.url, { region: location.region, endpoint: config.s3Endpoint });
    this.#right = rightTo(this.#place, location, config);
    this.#transport = new HttpTransport(location, config, signal);
    const way = location.proxy === undefined ? {} : { proxy: location.proxy };
    this.#role = roleCredentials({ region: this.#place.region, ...way }, config, signal);
    this.#client = this.#makeClient();
  }

  get sentTooMuch(): boolean {
    return this.#transport.sentTooMuch;
  }

  /** Takes Range and If-Range. @throws Fault of the group source for every refusal but 416 */
  get(headers: Record<string, string>): Promise<HttpAnswer> {
    return this.#ask(headers, false);
  }

  getRange(headers: Record<string, string>): Promise<HttpAnswer> {
    return this.#ask(headers, true);
  }

  async close(): Promise<void> {
    this.#client.destroy();
    await this.#transport.close();
  }

  async #ask(headers: Record<string, string>, quickly: boolean): Promise<HttpAnswer> {
    for (let corrections = 0; ; corrections += 1) {
      const answer = await this.#send(headers, quickly);
      if ('body' in answer) return answer;
      if (corrections === correctionLimit || !this.#learnFrom(answer)) {
        throw faultOfRefusal(answer, this.#place, this.#right);
      }
    }
  }

  async #send(headers: Record<string, string>, quickly: boolean): Promise<HttpAnswer | S3Refusal> {
    const { bucket, key, versionId } = this.#place;
    const { range } = headers;
    const command = new GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ...(versionId === undefined ? {} : { VersionId: versionId }),
      ...(range === undefined ? {} : { Range: range }),
      ...conditionOf(headers['if-range']),
    });
    const exchange: Exchange = { quickly };
    try {
      await this.#client.send(command, handedOn(exchange));
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal?.status === 416) return unsatisfied(this.#place);
      if (refusal !== undefined) return refusal;
      if (exchange.answer === undefined) throw this.#faultOf(error);
      // The content came; what the SDK could not make of its headers is not needed.
    }
    if (exchange.answer === undefined) throw new Fault('Internal', 'the S3 client ended without an answer');
    return exchange.answer;
  }

  /** @returns whether asking again can end otherwise */
  #learnFrom({ code, region }: S3Refusal): boolean {
    if (code === 'RequestTimeTooSkewed') return true; // the SDK has learnt the server's time from the answer
    if (region === undefined || region === this.#place.region || this.#right === 'anonymous') return false;
    this.#place = inRegion(this.#place, region);
    this.#client.destroy();
    this.#client = this.#makeClient();
    return true;
  }

  #faultOf(error: unknown): Fault {
    if (error instanceof Fault) return error;
    if (this.#signal.aborted) return new Fault('Cancelled', 'the request was given up', { cause: error });
    return new Fault('SourceRefused', 'no request can be made of the URL and the credentials', { cause: error });
  }

  #makeClient(): S3Client {
    const { endpoint, region, pathStyle } = this.#place;
    return new S3Client({
      ...fixedSettings,
      endpoint: endpoint.origin,
      region,
      forcePathStyle: pathStyle,
      requestHandler: new SdkTransport(this.#transport),
      ...this.#signing(),
    });
  }

  #signing(): Partial<Pick<S3ClientConfig, 'credentials' | 'signer'>> {
    const { credentials } = this.#location;
    if (credentials !== undefined) return { credentials };
    if (this.#right === 'role') return { credentials: this.#role };
    return { credentials: { accessKeyId: '', secretAccessKey: '' }, signer: { sign: async (request) => request } };
  }
}

/** The role is shown to servers of AWS and to the operator's own, never to one that only a user names. */
function rightTo(place: S3Place, { credentials }: S3Location, config: Config): S3Right {
  if (credentials !== undefined) return 'keys';
  if (config.s3RoleArn === '') return 'anonymous';
  const own = config.s3Endpoint !== '' && place.endpoint.origin === new URL(config.s3Endpoint).origin;
  return place.ofAws || own ? 'role' : 'anonymous';
}

/** S3 has no If-Range: the object is the same, or the request is refused. */
function conditionOf(ifRange: string | undefined): { IfMatch?: string; IfUnmodifiedSince?: Date } {
  if (ifRange === undefined) return {};
  return ifRange.startsWith('"') ? { IfMatch: ifRange } : { IfUnmodifiedSince: new Date(ifRange) };
}

/** The options of a call reach the request handler as they are. */
function handedOn(exchange: Exchange): { requestTimeout?: number; exchange: Exchange } {
  return { exchange };
}

/** Only the status matters. */
function unsatisfied(place: S3Place): HttpAnswer {
  const nothing = { async *[Symbol.asyncIterator]() {}, destroy: () => undefined };
  return { status: 416, headers: {}, body: nothing, url: place.endpoint.href };
}
