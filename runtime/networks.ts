// Networks of IP addresses as people write them: `10.0.0.0/8`, `fd00::/8`, a single address.
import { BlockList, isIP } from 'node:net';

/** @returns undefined where one of them is no network */
export function parseNetworks(texts: readonly string[]): BlockList | undefined {
  const networks = new BlockList();
  for (const text of texts) {
    const [address = '', prefixText, ...rest] = text.split('/');
    const version = isIP(address);
    const longest = version === 4 ? 32 : 128;
    const prefix = prefixText === undefined ? longest : /^\d+$/.test(prefixText) ? Number(prefixText) : -1;
    if (version === 0 || rest.length > 0 || prefix < 0 || prefix > longest) return undefined;
    networks.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6');
  }
  return networks;
}

/** An IPv4 address that is written as an IPv6 one (`::ffff:a.b.c.d`) is in the networks of both. */
export function isWithin(networks: BlockList, address: string): boolean {
  return networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Parts between commas, without those that are empty. */
export function commaSeparated(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
