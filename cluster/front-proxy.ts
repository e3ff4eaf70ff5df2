// Who a request to the aggregated API comes from. kube-apiserver has authenticated the user and passes the request on over TLS with a certificate of its front
// proxy, and the user's name in headers. Only what comes with that certificate is believed.
// https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { Fault } from '../domain/fault.ts';
import type { ConfigMap } from '../domain/kube-shapes.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { ClusterUser } from './access-reviews.ts';

/** From config map kube-system/extension-apiserver-authentication. */
export interface FrontProxy {
  /** PEM of the CA of its certificate. */
  readonly ca: string;
  /** CNs that it may have; empty: any. */
  readonly names: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraPrefixes: readonly string[];
}

const place = { namespace: 'kube-system', name: 'extension-apiserver-authentication' };

/** @throws Fault NotFound where the cluster has no aggregation layer */
export async function readFrontProxy(reader: ObjectReader): Promise<FrontProxy> {
  const map = await reader.get(resources.configMaps, place);
  const ca = map?.data?.['requestheader-client-ca-file'];
  if (map === undefined || ca === undefined) {
    throw new Fault('NotFound', `config map ${place.namespace}/${place.name} has no requestheader-client-ca-file`);
  }
  const list = (key: string, otherwise: string[]) => parsedList(map, `requestheader-${key}`) ?? otherwise;
  return {
    ca,
    names: list('allowed-names', []),
    usernameHeaders: list('username-headers', ['X-Remote-User']),
    groupHeaders: list('group-headers', ['X-Remote-Group']),
    extraPrefixes: list('extra-headers-prefix', ['X-Remote-Extra-']),
  };
}

function parsedList({ data = {} }: ConfigMap, key: string): string[] | undefined {
  const text = data[key];
  if (text === undefined) return undefined;
  const list: unknown = JSON.parse(text);
  if (Array.isArray(list) && list.every((one) => typeof one === 'string')) return list;
  throw new Fault('InvalidSetting', `${key} of config map ${place.namespace}/${place.name} is no list of names`);
}

/** @throws Fault Unauthenticated, in CDI's words */
export function userOf(request: IncomingMessage, proxy: FrontProxy): ClusterUser {
  const refused = new Fault('Unauthenticated', 'request is not authenticated');
  // Each header by itself: those that node:http joins could not be told apart from a name with a comma.
  const { socket, headersDistinct: headers } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) throw refused;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  if (proxy.names.length > 0 && !proxy.names.some((known) => known === name)) throw refused;
  const username = valuesOf(headers, proxy.usernameHeaders)[0];
  if (username === undefined) throw refused;
  const groups = valuesOf(headers, proxy.groupHeaders);
  return { username, groups, extra: extraOf(headers, proxy.extraPrefixes) };
}

type DistinctHeaders = IncomingMessage['headersDistinct'];

function valuesOf(headers: DistinctHeaders, names: readonly string[]): string[] {
  return names.flatMap((name) => (headers[name.toLowerCase()] ?? []).map(asText));
}

/** node:http reads each byte of a header as a character; kube-apiserver writes names as UTF-8. */
function asText(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}

/** Names are escaped as in a URL, as they may hold what a header's name may not. */
function extraOf(headers: DistinctHeaders, prefixes: readonly string[]): Record<string, string[]> {
  const extra: Record<string, string[]> = {};
  for (const prefix of prefixes.map((given) => given.toLowerCase())) {
    for (const [name, values = []] of Object.entries(headers)) {
      if (name.startsWith(prefix)) extra[decodeURIComponent(name.slice(prefix.length))] = values.map(asText);
    }
  }
  return extra;
}
