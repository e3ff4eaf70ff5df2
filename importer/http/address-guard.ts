// Which addresses a source may have. A user names the URL, but the worker fetches it: what only the worker's machine can reach, such as services on
// its loopback or the metadata service of a cloud, is not the user's to read. Looked at when a connection is made, for each address that a name
// stands for at that moment, so that neither a redirect nor a name that changes its address gets around it.

import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import { commaSeparated, isWithin, parseNetworks } from '../../runtime/networks.ts';

/** Refused unless allowed. Networks by RFC 6890, and metadata services that are not link-local. */
const refusedByDefault = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '255.255.255.255',
  '100.100.100.200',
  // `::`, `::1`, and IPv4 addresses in the writings that came before `::ffff:a.b.c.d` and NAT64 (RFC 4291, 2.5.5.1; RFC 2765).
  '::/96',
  '::ffff:0:0:0/96',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254',
];

/** NAT64 (RFC 6052) and 6to4 (RFC 3056): an IPv4 address stands in the six-to-four bytes that follow, or at the end. */
const nat64 = /^64:ff9b:(?::|.*:)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;
const sixToFour = /^2002:([0-9a-f]{1,4}):([0-9a-f]{1,4}):/;

export class AddressGuard {
  readonly #allowed: ReturnType<typeof networksOf>;
  readonly #refused: ReturnType<typeof networksOf>;

  constructor({ sourceAllow, sourceRefuse, kubeHost }: Pick<Config, 'sourceAllow' | 'sourceRefuse' | 'kubeHost'>) {
    this.#allowed = networksOf(commaSeparated(sourceAllow));
    // Where the worker is a pod: kube-apiserver would take it for somebody of the cluster.
    const ofCluster = isIP(kubeHost) === 0 ? [] : [kubeHost];
    this.#refused = networksOf([...refusedByDefault, ...ofCluster, ...commaSeparated(sourceRefuse)]);
  }

  allows(address: string): boolean {
    if (isWithin(this.#allowed, address)) return true;
    if (isWithin(this.#refused, address)) return false;
    const embedded = embeddedAddress(address);
    return embedded === undefined || this.allows(embedded);
  }

  /**
   * For a host that is written as an address, which no lookup ever sees.
   * @throws Fault SourceAddressRefused
   */
  assertLiteral(hostname: string): void {
    const address = hostname.replace(/^\[|\]$/g, '');
    if (isIP(address) !== 0 && !this.allows(address)) throw refusal(address, [address]);
  }

  /** As dns.lookup, with the allowed addresses only. Its error is SourceAddressRefused where there is none. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, []);
      const allowed = found.filter(({ address }) => this.allows(address));
      const [first] = allowed;
      if (first === undefined) {
        const addresses = found.map(({ address }) => address);
        return callback(refusal(hostname, addresses), []);
      }
      return options.all === true ? callback(null, allowed) : callback(null, first.address, first.family);
    });
  };
}

function networksOf(texts: readonly string[]) {
  const networks = parseNetworks(texts);
  if (networks === undefined) throw new Fault('InvalidSetting', `no networks: ${texts.join(',')}`);
  return networks;
}

function embeddedAddress(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const written = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const match = nat64.exec(written) ?? sixToFour.exec(written);
  if (match === null) return undefined;
  const groups = match.slice(1).map((group) => Number.parseInt(group, 16));
  return groups.flatMap((group) => [group >> 8, group & 0xff]).join('.');
}

function refusal(host: string, addresses: readonly string[]): Fault {
  return new Fault('SourceAddressRefused', host === addresses[0] ? host : `${host} is ${addresses.join(', ')}`);
}
