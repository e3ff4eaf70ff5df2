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
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

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

export async function makeLeaf(
  authority: Pem,
  request: { cn: string; hosts: readonly string[]; usages: readonly ('server' | 'client')[]; seconds: number },
): Promise<Pem> {
  const keys = await makeKeys();
  const issuer = new X509Certificate(authority.cert);
  const names = request.hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }) as const);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: makeSerial(),
    subject: [{ CN: [request.cn] }],
    issuer: issuer.subjectName,
    ...validity(request.seconds),
    signingAlgorithm: algorithm,
    signingKey: await importKey(authority.key),
    publicKey: keys.publicKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(
        request.usages.map((usage) => (usage === 'server' ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth)),
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
      ...alternativeNames(names),
    ],
  });
  return { key: await exportKey(keys.privateKey), cert: pem(certificate) };
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
