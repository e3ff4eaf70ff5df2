// An image in a registry (OCI distribution specification 1.1, Docker registry HTTP API v2), over https; an insecure one also over http, as it answers.

import { Fault } from '../../domain/fault.ts';
import { type ImageReference, isImageDigest, parseImageReference } from '../../domain/image-reference.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import { type HttpAnswer, textOf } from '../http/http-answer.ts';
import { faultOfAnswer } from '../http/http-faults.ts';
import { HttpSource } from '../http/http-source.ts';
import type { TransportSettings } from '../http/http-transport.ts';
import type { HttpUser } from '../http/http-user.ts';
import { assertDigest } from './image-digest.ts';
import { type Blob, type ImageStore, mostDocumentBytes, type StoredManifest } from './image-store.ts';
import { acceptedTypes, type Descriptor } from './manifest.ts';
import { readWhole } from './read-whole.ts';
import { RegistryContent } from './registry-content.ts';
import { type LoginPlace, RegistryLogin } from './registry-login.ts';

/** With `insecureSkipVerify` the registry is an insecure one: http will do where it has no TLS. */
export interface RegistryLocation extends TransportSettings {
  /** `docker://host[:port]/repository[:tag][@digest]` or `oci-archive:path[:name]`. */
  url: string;
  /** Of the image that is wanted; the machine's own where none is named. */
  architecture?: string;
  credentials?: HttpUser;
}

type Surroundings = Pick<DecoderSurroundings, 'config' | 'signal'>;

/** What a connection to a server without TLS, or to none, comes to. */
const tlsFailures = ['SourceUntrusted', 'SourceUnreachable', 'SourceRefused', 'SourceInterrupted'];
/** Docker Hub's registry has another name than its images. */
const hostOfHub = 'registry-1.docker.io';

export class RegistryStore implements ImageStore {
  readonly name: string;
  readonly askedDigest: string | undefined;
  readonly #reference: ImageReference;
  readonly #location: RegistryLocation;
  readonly #surroundings: Surroundings;
  #place: LoginPlace;
  #login: RegistryLogin;

  /** @throws Fault SourceRefused for a URL that names no image */
  constructor(location: RegistryLocation, surroundings: Surroundings) {
    const reference = parseImageReference(location.url);
    if (reference === undefined) throw new Fault('SourceRefused', 'the URL names no container image');
    this.name = location.url;
    this.askedDigest = isImageDigest(reference.reference) ? reference.reference : undefined;
    this.#reference = reference;
    this.#location = location;
    this.#surroundings = surroundings;
    this.#place = this.#placeAt('https');
    this.#login = new RegistryLogin(this.#place, surroundings);
  }

  async root(): Promise<StoredManifest> {
    try {
      return await this.#readManifest(this.#reference.reference);
    } catch (error) {
      const mayBePlain =
        this.#location.insecureSkipVerify && error instanceof Fault && tlsFailures.includes(error.code);
      if (!mayBePlain || 'status' in error.facts) throw error;
      this.#place = this.#placeAt('http');
      this.#login = new RegistryLogin(this.#place, this.#surroundings);
      return this.#readManifest(this.#reference.reference);
    }
  }

  manifest({ digest }: Descriptor): Promise<StoredManifest> {
    return this.#readManifest(digest);
  }

  blob({ digest }: Descriptor): Promise<Blob> {
    const content = this.#content(`blobs/${digest}`, digest);
    const url = `${this.#place.origin}/v2/${this.#reference.repository}/blobs/${digest}`;
    const { config: limits, signal } = this.#surroundings;
    return HttpSource.open(content, { url }, { limits, signal });
  }

  async close(): Promise<void> {
    // Each content has closed its own connections.
  }

  #placeAt(scheme: 'http' | 'https'): LoginPlace {
    const { host, repository } = this.#reference;
    const { certificates, credentials, proxy, insecureSkipVerify } = this.#location;
    return {
      ...{ origin: new URL(`${scheme}://${host === 'docker.io' ? hostOfHub : host}`).origin, repository },
      ...{ certificates, insecureSkipVerify },
      ...(credentials === undefined ? {} : { credentials }),
      ...(proxy === undefined ? {} : { proxy }),
    };
  }

  #content(path: string, digest?: string): RegistryContent {
    const whole = `/v2/${this.#reference.repository}/${path}`;
    return new RegistryContent(whole, this.#place, this.#login, this.#surroundings, digest);
  }

  async #readManifest(reference: string): Promise<StoredManifest> {
    const content = this.#content(`manifests/${reference}`);
    const { signal } = this.#surroundings;
    try {
      const answer = await content.get({ accept: acceptedTypes });
      if (answer.status !== 200) throw await this.#refusal(answer);
      const bytes = await readWhole(answer, mostDocumentBytes, signal);
      const told = [answer.headers['docker-content-digest']].flat()[0];
      if (told !== undefined && isImageDigest(told)) {
        assertDigest(bytes, { digest: told, size: bytes.byteLength }, 'the manifest');
      }
      return { bytes, mediaType: [answer.headers['content-type']].flat()[0] };
    } finally {
      await content.close();
    }
  }

  /** The fault for an answer without a manifest, with the code that the registry gives for it. */
  async #refusal(answer: HttpAnswer): Promise<Fault> {
    const { status } = answer;
    // Such as MANIFEST_UNKNOWN; what a registry says beside is for nobody.
    const code = /"code"\s*:\s*"([A-Z_]{1,40})"/.exec(await textOf(answer))?.[1];
    const fault = faultOfAnswer(answer);
    const said = code === undefined ? `${status}` : `${status}, ${code}`;
    return new Fault(
      fault?.code ?? 'SourceRefused',
      `failed to pull image: ${this.name}: the registry answered ${said}`,
      {
        facts: fault?.facts ?? { status },
      },
    );
  }
}
