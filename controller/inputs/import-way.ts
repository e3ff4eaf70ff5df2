// Which way imports go to their sources, as CDIConfig says: by which proxy, and with whose certificates besides those that the source itself names.
import type { CdiConfig } from '../../domain/custom-resources/cdi-config.ts';
import { Fault } from '../../domain/fault.ts';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import type { ObjectReader } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import type { HttpInputs } from '../../jobs/source-inputs.ts';

export interface WayContext {
  reader: ObjectReader;
  cdiConfig: CdiConfig | undefined;
  /** Where the config map of the proxy's CAs is looked for. */
  serviceNamespace: string;
}

/** @throws Fault SecretMissing where the config map of the proxy's CAs is not there */
export async function importWay(context: WayContext): Promise<Pick<HttpInputs, 'certificates' | 'proxy'>> {
  const { reader, cdiConfig, serviceNamespace } = context;
  const authorities = proxyAuthoritiesOf(cdiConfig);
  const proxy = proxyOf(cdiConfig);
  return {
    certificates: authorities === undefined ? [] : await certificatesOf(reader, serviceNamespace, authorities),
    ...(proxy === undefined ? {} : { proxy }),
  };
}

/** Name of the config map with the CAs of the proxy, if any. */
export function proxyAuthoritiesOf(cdiConfig: CdiConfig | undefined): string | undefined {
  return givenProxy(cdiConfig)?.trustedCAProxy || undefined;
}

/** All certificates of a config map, whatever the keys. @throws Fault SecretMissing */
export async function certificatesOf(reader: ObjectReader, namespace: string, name: string): Promise<string[]> {
  const configMap = await reader.get(resources.configMaps, { namespace, name });
  if (configMap === undefined) throw new Fault('SecretMissing', `config map ${namespace}/${name}`);
  return pemsOf(configMap);
}

function pemsOf(configMap: ConfigMap): string[] {
  const binary = Object.values(configMap.binaryData ?? {}).map((value) => Buffer.from(value, 'base64').toString());
  return [...Object.values(configMap.data ?? {}), ...binary].filter((text) =>
    text.includes('-----BEGIN CERTIFICATE-----'),
  );
}

/** undefined where none is named: the worker then takes those of its machine, if any. */
function proxyOf(cdiConfig: CdiConfig | undefined): HttpInputs['proxy'] {
  const given = givenProxy(cdiConfig);
  if (!given?.HTTPProxy && !given?.HTTPSProxy) return undefined;
  return {
    ...(given.HTTPProxy ? { http: given.HTTPProxy } : {}),
    ...(given.HTTPSProxy ? { https: given.HTTPSProxy } : {}),
    ...(given.noProxy ? { no: given.noProxy } : {}),
  };
}

function givenProxy(cdiConfig: CdiConfig | undefined) {
  return cdiConfig?.status?.importProxy ?? cdiConfig?.spec.importProxy;
}
