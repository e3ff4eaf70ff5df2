// The CA of a service in its files, and how another takes its place while everything runs: it is made, and told, when a third of the former's life is left; it
// signs when a sixth is left; and the former is trusted until it ends. So whatever is signed is signed by a CA that everybody trusts by then.
//
//   ca.crt                    all that are trusted, first the one that signs
//   ca.key                    of the one that signs
//   ca-next.crt ca-next.key   the one that is to sign next
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../domain/fault.ts';
import { writeDurably } from './durable-file.ts';

export interface AuthorityLife {
  /** Of a CA that is made now. */
  lifetimeSeconds: number;
  /** How long the next one is told before it signs, at the least: until everybody has heard of it. */
  toldSeconds: number;
}

/** PEM texts. */
export interface Authority {
  cert: string;
  key: string;
  /** All that are trusted, first the one that signs. */
  trusted: string;
}

interface Pair {
  cert: string;
  key: string;
}

const commonName = 'Longshore CA';

/**
 * Makes the CA where there is none yet, and does what is due. Where it ends in between, the next call goes on.
 * @throws Fault Internal where `ca.key` belongs to nothing in `ca.crt`
 */
export async function openAuthority(directory: string, life: AuthorityLife): Promise<Authority> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const signing = (await readSigning(directory)) ?? (await makeFirst(directory, life));
  const next = await nextOf(directory, signing, life);
  if (next !== undefined && isToSign(signing, next, life)) return takeOver(directory, signing, next);
  return keepTrusted(directory, signing, next);
}

interface Signing extends Pair {
  /** As they stand in ca.crt. */
  told: readonly string[];
}

async function readSigning(directory: string): Promise<Signing | undefined> {
  const [key, text] = [await readPem(join(directory, 'ca.key')), await readPem(join(directory, 'ca.crt'))];
  if (key === undefined || text === undefined) return undefined;
  const told = certificatesIn(text);
  const cert = told.find((each) => new X509Certificate(each).checkPrivateKey(createPrivateKey(key)));
  if (cert === undefined) throw new Fault('Internal', `ca.key in ${directory} belongs to no certificate of ca.crt`);
  return { cert, key, told };
}

async function makeFirst(directory: string, { lifetimeSeconds }: AuthorityLife): Promise<Signing> {
  const made = await make(lifetimeSeconds);
  await writeDurably(join(directory, 'ca.key'), made.key, 0o600);
  await writeDurably(join(directory, 'ca.crt'), made.cert, 0o644);
  return { ...made, told: [made.cert] };
}

/** The one that is to sign next, which is made where it is time. */
async function nextOf(directory: string, signing: Signing, life: AuthorityLife): Promise<Pair | undefined> {
  const [keyPath, certPath] = nextPaths(directory);
  const [key, cert] = [await readPem(keyPath), await readPem(certPath)];
  if (key !== undefined && cert !== undefined) {
    if (cert !== signing.cert) return { key, cert };
    await forgetNext(directory); // it signs already, and a crash came before they were removed
  }
  if (partLeft(signing.cert) > 1 / 3) return undefined;
  const made = await make(life.lifetimeSeconds);
  await writeDurably(keyPath, made.key, 0o600);
  await writeDurably(certPath, made.cert, 0o644);
  return made;
}

function isToSign(signing: Signing, next: Pair, { toldSeconds }: AuthorityLife): boolean {
  const left = partLeft(signing.cert);
  if (left <= 0) return true; // nothing works by now, so nobody is waited for
  const isTold = signing.told.includes(next.cert) && Date.now() - madeAt(next.cert) >= toldSeconds * 1_000;
  return isTold && left < 1 / 6;
}

async function takeOver(directory: string, former: Signing, next: Pair): Promise<Authority> {
  await writeDurably(join(directory, 'ca.key'), next.key, 0o600);
  const authority = await keepTrusted(directory, { ...next, told: former.told }, undefined);
  await forgetNext(directory);
  return authority;
}

/** What has ended is trusted no longer, but for the one that signs: without it nothing would work. */
async function keepTrusted(directory: string, signing: Signing, next: Pair | undefined): Promise<Authority> {
  const others = [...(next === undefined ? [] : [next.cert]), ...signing.told].filter((cert) => partLeft(cert) > 0);
  const trusted = [...new Set([signing.cert, ...others])];
  const text = trusted.join('');
  if (text !== signing.told.join('')) await writeDurably(join(directory, 'ca.crt'), text, 0o644);
  return { cert: signing.cert, key: signing.key, trusted: text };
}

async function forgetNext(directory: string): Promise<void> {
  for (const path of nextPaths(directory)) await rm(path, { force: true });
}

function nextPaths(directory: string): [key: string, cert: string] {
  return [join(directory, 'ca-next.key'), join(directory, 'ca-next.crt')];
}

async function make(seconds: number): Promise<Pair> {
  const { makeAuthority } = await import('./x509-maker.ts');
  return makeAuthority({ cn: commonName, seconds });
}

/** @returns each with the end of its last line */
export function certificatesIn(pem: string): string[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((text) => `${text}\n`);
}

/** How much of its life is left, from 1 down to 0 and below. */
export function partLeft(pem: string): number {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return (to - Date.now()) / (to - from);
}

/** x509-maker.ts dates a certificate back: by five minutes, or by a tenth of its life where that is less. */
function madeAt(pem: string): number {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return from + Math.min(300_000, (to - from) / 11);
}

/** undefined where there is no such file. */
export async function readPem(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
