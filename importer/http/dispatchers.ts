// undici's clients of one attempt: one for each way to go, made when first needed, with the trust and the time limits of the attempt.
import { Agent, buildConnector, type Dispatcher, Pool, ProxyAgent } from 'undici';
import { cameAfterTheEnd } from './http-faults.ts';
import { trustedContext } from './http-trust.ts';
import type { Surroundings } from './plain-connection.ts';

export interface Trust {
  /** PEM certificates trusted besides the system's. */
  certificates: readonly string[];
  insecureSkipVerify: boolean;
}

/** A proxy, and who we are to it. */
export interface ProxyAddress {
  url: URL;
  /** Value of Proxy-Authorization. */
  token?: string;
}

export class Dispatchers {
  readonly #trust: Trust;
  readonly #surroundings: Pick<Surroundings, 'limits' | 'guard'>;
  readonly #made = new Map<string, Dispatcher>();
  #sentTooMuch = false;

  constructor(trust: Trust, surroundings: Pick<Surroundings, 'limits' | 'guard'>) {
    this.#trust = trust;
    this.#surroundings = surroundings;
  }

  /** True once a server sent bytes after the end that it had declared. */
  get sentTooMuch(): boolean {
    return this.#sentTooMuch;
  }

  /** @param http2 for a server that speaks nothing else: HTTP/1.1 is the faster one. @throws Fault SourceUntrusted for certificates that are none */
  for(url: URL, proxy: ProxyAddress | undefined, http2: boolean): Dispatcher {
    const key = `${url.protocol} ${http2} ${proxy?.url.href ?? ''}`;
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = this.#make(url, proxy, http2);
    this.#made.set(key, made);
    return made;
  }

  /** Who knows of its connections: a ProxyAgent does not. */
  #watched<D extends Dispatcher>(dispatcher: D): D {
    dispatcher.on('disconnect', (_origin, _targets, error) => {
      if (cameAfterTheEnd(error)) this.#sentTooMuch = true;
    });
    return dispatcher;
  }

  async close(): Promise<void> {
    const closing = [...this.#made.values()].map((dispatcher) => dispatcher.destroy());
    this.#made.clear();
    await Promise.all(closing);
  }

  #make(url: URL, proxy: ProxyAddress | undefined, allowH2: boolean): Dispatcher {
    const secure = url.protocol === 'https:' || proxy?.url.protocol === 'https:';
    const trust = secure ? { secureContext: trustedContext(this.#trust.certificates) } : {};
    const { limits, guard } = this.#surroundings;
    const timeout = limits.connectTimeoutMs;
    const tls = { ...trust, rejectUnauthorized: !this.#trust.insecureSkipVerify, timeout };
    if (proxy === undefined) {
      const connect = buildConnector({ ...tls, allowH2, lookup: guard.lookup });
      return this.#watched(new Agent({ allowH2, connect: tellingResets(connect) }));
    }
    return new ProxyAgent({
      uri: `${proxy.url.protocol}//${proxy.url.host}`,
      ...(proxy.token === undefined ? {} : { token: proxy.token }),
      allowH2,
      requestTls: tls,
      // The operator chose the proxy: it may lie where a source may not.
      proxyTls: { ...trust, timeout },
      connect: { timeout },
      // Of the tunnel, or of the connection to the proxy where that forwards.
      factory: (origin, { connect, ...options }: Pool.Options) => {
        const telling = typeof connect === 'function' ? { connect: tellingResets(connect) } : {};
        return this.#watched(new Pool(origin, { ...options, ...telling }));
      },
    });
  }
}

/**
 * undici takes a reset for the end of a body that has no length: half of a disk would be taken for all of it. Under another name it is the error that it
 * is.
 */
function tellingResets(connect: buildConnector.connector): buildConnector.connector {
  const renameReset = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'ECONNRESET') error.code = 'EPIPE';
  };
  return (to, done) =>
    connect(to, (...ended) => {
      ended[1]?.prependListener('error', renameReset);
      done(...ended);
    });
}
