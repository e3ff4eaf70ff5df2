// Our CA where kube-apiserver calls us: in the webhook configurations and the APIService that the chart makes. Whoever takes it out again, as an upgrade that
// replaces objects does, is noticed and put right at once: until then nobody could make a DataVolume.
import { ObjectCache } from '../controller/object-cache.ts';
import { toFault } from '../domain/fault.ts';
import type { KubeObject, ObjectStore, ResourceRef } from '../domain/object-store.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import { type ApiService, clusterResources, type WebhookConfiguration } from './cluster-resources.ts';

const retryMs = 1_000;

export interface ToldCaOptions {
  store: ObjectStore;
  logger: Logger;
}

export class ToldCa {
  readonly #ending = new AbortController();
  readonly #places: readonly { put(ca: string): Promise<void> }[];
  readonly #following: Promise<unknown>;

  /** Begins to watch; nothing is written before `tell`. */
  constructor(options: ToldCaOptions) {
    const { validatingWebhooks, mutatingWebhooks, apiServices } = clusterResources;
    const { signal } = this.#ending;
    // As CDI names them.
    const places = [
      new Place(validatingWebhooks, 'cdi-api-datavolume-validate', inWebhooks, options, signal),
      new Place(mutatingWebhooks, 'cdi-api-datavolume-mutate', inWebhooks, options, signal),
      new Place(validatingWebhooks, 'cdi-api-dataimportcron-validate', inWebhooks, options, signal),
      new Place(mutatingWebhooks, 'cdi-api-dataimportcron-mutate', inWebhooks, options, signal),
      new Place(mutatingWebhooks, 'cdi-api-pvc-mutate', inWebhooks, options, signal),
      new Place(apiServices, 'v1beta1.upload.cdi.kubevirt.io', inService, options, signal),
    ];
    this.#places = places;
    this.#following = Promise.all(places.map((place) => place.follow()));
  }

  /** Resolves when it stands wherever kube-apiserver knows of us; from then on it stays there. @param ca PEM */
  async tell(ca: string): Promise<void> {
    const caBundle = Buffer.from(ca, 'utf8').toString('base64');
    await Promise.all(this.#places.map((place) => place.put(caBundle)));
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#following;
  }
}

function inWebhooks(found: WebhookConfiguration, caBundle: string): WebhookConfiguration {
  const webhooks = found.webhooks?.map((webhook) => ({
    ...webhook,
    clientConfig: { ...webhook.clientConfig, caBundle },
  }));
  return { ...found, ...(webhooks === undefined ? {} : { webhooks }) };
}

function inService(found: ApiService, caBundle: string): ApiService {
  return { ...found, spec: { ...found.spec, caBundle } };
}

/** One object that is to hold the CA; one that is not there is waited for. */
class Place<T extends KubeObject> {
  readonly #resource: ResourceRef<T>;
  readonly #name: string;
  readonly #withCa: (found: T, caBundle: string) => T;
  readonly #options: ToldCaOptions;
  readonly #signal: AbortSignal;
  readonly #cache: ObjectCache<T>;
  #caBundle: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    resource: ResourceRef<T>,
    name: string,
    withCa: (found: T, caBundle: string) => T,
    options: ToldCaOptions,
    signal: AbortSignal,
  ) {
    this.#resource = resource;
    this.#name = name;
    this.#withCa = withCa;
    this.#options = options;
    this.#signal = signal;
    const fieldSelector = `metadata.name=${name}`;
    this.#cache = new ObjectCache<T>({
      ...options,
      resource,
      fieldSelector,
      retryMs,
      onChange: () => void this.#keep(),
    });
  }

  async follow(): Promise<void> {
    await this.#cache.follow(this.#signal);
    await this.#writing;
  }

  async put(caBundle: string): Promise<void> {
    this.#caBundle = caBundle;
    await this.#cache.synced;
    await this.#keep();
  }

  /** One write after another; the last one sees the latest of all. */
  #keep(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    while (!this.#signal.aborted) {
      const found = this.#cache.get({ name: this.#name });
      if (found === undefined || this.#caBundle === undefined) return;
      const wanted = this.#withCa(found, this.#caBundle);
      if (JSON.stringify(wanted) === JSON.stringify(found)) return;
      try {
        this.#cache.put(await this.#options.store.update(this.#resource, wanted));
        return;
      } catch (error) {
        const fault = toFault(error);
        // The watch is about to tell what it has become.
        if (fault.code === 'Conflict' || fault.code === 'NotFound') return;
        this.#options.logger.error({ err: fault, name: this.#name }, 'our CA not told to kube-apiserver');
        if (!fault.retryable) return;
      }
      await pauseFor(retryMs, this.#signal).catch(() => undefined); // aborted: the loop ends
    }
  }
}
