// The certificates of one service: an own CA in the data directory and a pair a process. Keys never leave their 0600 files but into TLS.
//
//   pki/ca.crt pki/ca.key            10 years; how another takes its place is in authority-files.ts
//   pki/<name>.crt pki/<name>.key    90 days, made anew when less than a third is left or what they say no longer fits
//
// The library that makes certificates is loaded only where one has to be made: the processes that merely use them stay small.
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { checkServerIdentity } from 'node:tls';
import { Fault } from '../domain/fault.ts';
import { type Authority, openAuthority, partLeft, readPem } from './authority-files.ts';
import { writeDurably } from './durable-file.ts';

/** CN of the upload proxy's client certificate, as CDI names it. */
export const uploadClientName = 'client.upload-server.cdi.kubevirt.io';
export const controllerName = 'system:longshore:controller';

/** CN of the certificate of a node's worker. */
export function workerName(node: string): string {
  return `system:longshore:worker:${node}`;
}

/**
 * For node:tls: the certificate of the other side, which our CA has vouched for, must be that one's. Where it is dialled is not looked at:
 * on a cluster that changes with every pod.
 */
export function mustBe(cn: string): typeof checkServerIdentity {
  return (_host, { subject }) => (subject.CN === cn ? undefined : new Error(`${subject.CN} is not ${cn}`));
}

/** PEM texts for node:tls. */
export interface TlsPair {
  key: string;
  cert: string;
  ca: string;
  /** Where the pair may be made anew while the process runs: tells the new one, each time. Who dials just reads the fields again. */
  onRenewal?: (use: (pair: TlsPair) => void) => void;
}

export interface CertificateRequest {
  /** Name of the files. */
  name: string;
  cn: string;
  /** DNS names and IP addresses that a client may dial. */
  hosts: readonly string[];
  usages: readonly ('server' | 'client')[];
}

const tenYearsSeconds = 3_650 * 86_400;
const leafLifetimeSeconds = 90 * 86_400;

export interface AuthorityWishes {
  /** Of the pairs that it issues. */
  lifetimeSeconds?: number;
  caLifetimeSeconds?: number;
  /** As in AuthorityLife. */
  toldSeconds?: number;
}

/** @throws Fault NotFound where the pair was never issued */
export async function loadTlsPair(directory: string, name: string): Promise<TlsPair> {
  const [key, cert, ca] = await Promise.all([
    readPem(join(directory, `${name}.key`)),
    readPem(join(directory, `${name}.crt`)),
    readPem(join(directory, 'ca.crt')),
  ]);
  if (key === undefined || cert === undefined || ca === undefined) {
    throw new Fault('NotFound', `no certificate ${name} in ${directory}`);
  }
  return { key, cert, ca };
}

export class CertificateAuthority {
  readonly directory: string;
  /** PEM certificates that clients are to trust, first the one that signs. */
  readonly certificate: string;
  readonly #signing: Authority;
  readonly #lifetimeSeconds: number;

  private constructor(directory: string, signing: Authority, lifetimeSeconds: number) {
    this.directory = directory;
    this.certificate = signing.trusted;
    this.#signing = signing;
    this.#lifetimeSeconds = lifetimeSeconds;
  }

  /** The CA that signs now; made where there is none yet, replaced where that is due. */
  static async openOrCreate(directory: string, wishes: AuthorityWishes = {}): Promise<CertificateAuthority> {
    const { lifetimeSeconds = leafLifetimeSeconds, caLifetimeSeconds = tenYearsSeconds, toldSeconds = 0 } = wishes;
    const authority = await openAuthority(directory, { lifetimeSeconds: caLifetimeSeconds, toldSeconds });
    return new CertificateAuthority(directory, authority, lifetimeSeconds);
  }

  /** Returns the pair that is there while it still fits and lasts, else makes another. */
  async issue(request: CertificateRequest): Promise<TlsPair> {
    const [crtPath, keyPath] = [this.#path(request.name, 'crt'), this.#path(request.name, 'key')];
    const [cert, key] = [await readPem(crtPath), await readPem(keyPath)];
    if (cert !== undefined && key !== undefined && this.#stillFits(new X509Certificate(cert), request)) {
      return { key, cert, ca: this.certificate };
    }
    const { makeLeaf } = await import('./x509-maker.ts');
    const made = await makeLeaf(this.#signing, { ...request, seconds: this.#lifetimeSeconds });
    // A crash between the two leaves a pair that does not match; loading it fails in TLS, and the next start makes it anew.
    await writeDurably(keyPath, made.key, 0o600);
    await writeDurably(crtPath, made.cert, 0o644);
    return { ...made, ca: this.certificate };
  }

  /** Certifies a key that the asker keeps. @throws Fault InvalidRequest */
  async sign(signingRequest: string, request: Omit<CertificateRequest, 'name'>): Promise<string> {
    const { signRequest } = await import('./x509-maker.ts');
    return signRequest(this.#signing, { ...request, seconds: this.#lifetimeSeconds }, signingRequest);
  }

  #path(name: string, extension: string): string {
    return join(this.directory, `${name}.${extension}`);
  }

  #stillFits(leaf: X509Certificate, request: CertificateRequest): boolean {
    const lasts = partLeft(leaf.toString()) > 1 / 3;
    const ours = leaf.verify(new X509Certificate(this.#signing.cert).publicKey);
    const covers = request.hosts.every((host) => isNamed(leaf, host));
    return lasts && ours && covers && leaf.subject.split('\n').includes(`CN=${request.cn}`);
  }
}

function isNamed(leaf: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
}
