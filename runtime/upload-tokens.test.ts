import { createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose/jwt/sign';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLogger } from './logger.ts';
import { UploadTokens } from './upload-tokens.ts';

const target = { namespace: 'web', name: 'disk', uid: 'u-1' };
const issued = new Date('2026-01-01T00:00:00Z');
const after = (seconds: number): Date => new Date(issued.getTime() + seconds * 1000);

let directory: string;
let tokens: UploadTokens;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-tokens-'));
  tokens = await UploadTokens.open(directory, { lifetimeSeconds: 300 });
});
afterAll(() => rm(directory, { recursive: true }));

async function signedBy(issuer: string, algorithm: string): Promise<string> {
  const key = createPrivateKey(await readFile(join(directory, 'upload-token.key')));
  const seconds = issued.getTime() / 1000;
  const times = { iat: seconds, nbf: seconds, exp: seconds + 300 };
  return new SignJWT({ iss: issuer, ...times }).setProtectedHeader({ alg: algorithm }).sign(key);
}

test('a token is verified by who has the public key only, and names its claim', async () => {
  const verifier = await UploadTokens.openVerifier(directory);
  const claims = await verifier.verify(await tokens.issue(target, issued), after(1));
  expect(claims).toMatchObject({ namespace: 'web', name: 'disk', operation: 'Upload', params: { uid: 'u-1' } });
  await expect(verifier.issue(target)).rejects.toMatchObject({ code: 'Internal' });
  expect((await stat(join(directory, 'upload-token.key'))).mode & 0o777).toBe(0o600);
});

test('10 s of leeway, and not one more', async () => {
  const token = await tokens.issue(target, issued);
  await tokens.verify(token, after(-9));
  await tokens.verify(token, after(309));
  await expect(tokens.verify(token, after(-12))).rejects.toMatchObject({ code: 'TokenInvalid' });
  await expect(tokens.verify(token, after(311))).rejects.toMatchObject({ code: 'TokenExpired' });
});

test('no algorithm, another algorithm, another issuer and another key are refused', async () => {
  const [, payload] = (await tokens.issue(target, issued)).split('.');
  const header = Buffer.from('{"alg":"none"}').toString('base64url');
  const elsewhere = await mkdtemp(join(tmpdir(), 'longshore-tokens-'));
  const foreign = await (await UploadTokens.open(elsewhere, { lifetimeSeconds: 300 })).issue(target, issued);
  await rm(elsewhere, { recursive: true });
  const refused = [
    `${header}.${payload}.`,
    await signedBy('cdi-apiserver', 'RS256'),
    await signedBy('somebody', 'PS256'),
    foreign,
    'not-a-token',
  ];
  for (const token of refused) {
    await expect(tokens.verify(token, after(1))).rejects.toMatchObject({ code: 'TokenInvalid' });
  }
});

test('a token of ours that lacks what an upload needs is malformed', async () => {
  const token = await signedBy('cdi-apiserver', 'PS256');
  await expect(tokens.verify(token, after(1))).rejects.toMatchObject({ code: 'MalformedRequest' });
});

test('keys that take the place of the former ones are taken by who issues and by who verifies, and the former tokens end', async () => {
  const place = await mkdtemp(join(tmpdir(), 'longshore-tokens-'));
  const issuer = await UploadTokens.open(place, { lifetimeSeconds: 300 });
  const verifier = await UploadTokens.openVerifier(place);
  const before = await issuer.issue(target, issued);
  await rm(place, { recursive: true });
  const logger = createLogger({ logLevel: 'silent' }, 'test');
  await verifier.takeKeys(logger); // there are none at the moment: the former stay
  await UploadTokens.ensureKeys(place);
  await verifier.verify(before, after(1));
  await Promise.all([issuer.takeKeys(logger), verifier.takeKeys(logger)]);
  const newest = await UploadTokens.openVerifier(place);
  const token = await issuer.issue(target, issued);
  for (const each of [newest, verifier]) expect(await each.verify(token, after(1))).toMatchObject({ name: 'disk' });
  await expect(verifier.verify(before, after(1))).rejects.toMatchObject({ code: 'TokenInvalid' });
  await rm(place, { recursive: true });
});
