// Makes EC P-256 keys and X.509 certificates. Loaded by certificates.ts only when a certificate has to be made.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type GeneralNameType,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { Fault } from '../domain/fault.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** Clocks differ; a certificate is valid a little before it was made. */
const backdateMs = 300_000;

interface Pem {
  key: string;
  cert: string;
}

export async function makeAuthority(request: { cn: string; seconds: number }): Promise<Pem> {
  const keys = await makeKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: makeSerial(),
    name: [{ CN: [request.cn] }],
    ...validity(request.seconds),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { key: await exportKey(keys.privateKey), cert: pem(certificate) };
}

export interface LeafRequest {
  cn: string;
  hosts: readonly string[];
  usages: readonly ('server' | 'client')[];
  seconds: number;
}

export async function makeLeaf(authority: Pem, request: LeafRequest): Promise<Pem> {
  const keys = await makeKeys();
  return { key: await exportKey(keys.privateKey), cert: await signLeaf(authority, request, keys.publicKey) };
}

/** A key of one's own and the request (PKCS #10, RFC 2986) to certify it. */
export async function makeSigningRequest(): Promise<{ key: string; request: string }> {
  const keys = await makeKeys();
  const made = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
  return { key: await exportKey(keys.privateKey), request: made.toString('pem') };
}

/**
 * Certifies the key of a request. What the request says of names is not looked at: those are the signer's to give.
 * @throws Fault InvalidRequest where it is none, or is not signed by its own key
 */
export async function signRequest(authority: Pem, request: LeafRequest, signingRequest: string): Promise<string> {
  const asked = await readSigningRequest(signingRequest);
  return signLeaf(authority, request, await asked.publicKey.export());
}

async function readSigningRequest(text: string): Promise<Pkcs10CertificateRequest> {
  try {
    const asked = new Pkcs10CertificateRequest(text);
    if (await asked.verify()) return asked;
  } catch (error) {
    throw new Fault('InvalidRequest', 'the certificate request cannot be read', { cause: error });
  }
  throw new Fault('InvalidRequest', 'the certificate request is not signed by its own key');
}

async function signLeaf(authority: Pem, request: LeafRequest, publicKey: webcrypto.CryptoKey): Promise<string> {
  const issuer = new X509Certificate(authority.cert);
  const names = request.hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }) as const);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: makeSerial(),
    subject: [{ CN: [request.cn] }],
    issuer: issuer.subjectName,
    ...validity(request.seconds),
    signingAlgorithm: algorithm,
    signingKey: await importKey(authority.key),
    publicKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(
        request.usages.map((usage) => (usage === 'server' ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth)),
      ),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
      ...alternativeNames(names),
    ],
  });
  return pem(certificate);
}

function alternativeNames(
  names: readonly { type: GeneralNameType; value: string }[],
): SubjectAlternativeNameExtension[] {
  return names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])];
}

function makeKeys() {
  return webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
}

/** 16 random bytes; the first bit 0 keeps the number positive and the second 1 keeps it long. */
function makeSerial(): string {
  const bytes = webcrypto.getRandomValues(Buffer.alloc(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function validity(seconds: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  // Of a short life only a part: what is left of it decides when the next one is made.
  const before = Math.min(backdateMs, seconds * 100);
  return { notBefore: new Date(now - before), notAfter: new Date(now + seconds * 1_000) };
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
}

function importKey(text: string) {
  const der = Buffer.from(text.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
