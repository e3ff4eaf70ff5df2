// Uploads through a real nginx, set up as the Ingress of the chart has it set up: large bodies pass, pass as they come, and every refusal is told as without it.
// The service is whole; the client is curl, which sends what virtctl sends.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CertificateAuthority, type TlsPair } from '../../runtime/certificates.ts';
import { callHttps } from '../https-call.ts';
import { Service, until } from '../service-fixture.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { lastStep, takeStep, tokenFor, type UploadTarget, uploadSteps } from '../virtctl/upload-steps.ts';
import { annotationsOfChart, IngressNginx } from './ingress-nginx.ts';

const run = promisify(execFile);
const mebibyte = 1_048_576;
/** More than nginx takes by default, and than it keeps in memory. */
const disk = randomBytes(24 * mebibyte);
const parts = new AsyncDisposableStack();

let service: Service;
let ingress: IngressNginx;
let tls: TlsPair;
let image = '';
let ca = '';

beforeAll(async () => {
  const directory = await temporaryDirectory(parts, 'behind');
  image = join(directory, 'disk.img');
  ca = join(directory, 'ca.crt');
  await writeFile(image, disk);
  await mkdir(join(directory, 'pki'));
  const authority = await CertificateAuthority.openOrCreate(join(directory, 'pki'));
  tls = await authority.issue({ name: 'ingress', cn: 'ingress', hosts: ['127.0.0.1'], usages: ['server'] });
  await writeFile(ca, tls.ca);
  service = await Service.start();
  parts.defer(async () => {
    await service.stop();
  });
  ingress = parts.use(await startIngress(await annotationsOfChart()));
}, 120_000);
afterAll(() => parts.disposeAsync());

function startIngress(annotations: Readonly<Record<string, string>>): Promise<IngressNginx> {
  return IngressNginx.start({ annotations, upstream: new URL(service.state.uploadProxy).host, tls });
}

function targetOf(name: string, kind: 'dv' | 'pvc' = 'dv', sizeBytes = disk.length): UploadTarget {
  return { kind, namespace: 'default', name, size: String(sizeBytes) };
}

/** @returns a token for the claim, which waits for its bytes */
async function open(target: UploadTarget): Promise<string> {
  for (const step of uploadSteps(target)) await takeStep(service, step);
  return tokenFor(service, target);
}

interface CurlAnswer {
  status: number;
  fault: string;
  body: string;
}

/** What `curl --data-binary @image` with those words is answered. */
async function curl(through: IngressNginx, token: string, ...words: string[]): Promise<CurlAnswer> {
  const path = '/v1beta1/upload-async';
  const headers = ['-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/octet-stream'];
  const told = ['--write-out', '\n%{http_code} %header{longshore-fault}'];
  const sent = ['--data-binary', `@${image}`, ...words];
  const { stdout } = await run('curl', ['-sS', '--cacert', ca, ...headers, ...sent, ...told, `${through.url}${path}`]);
  const at = stdout.lastIndexOf('\n');
  const [status = '', fault = ''] = stdout.slice(at + 1).split(' ');
  return { status: Number(status), fault, body: stdout.slice(0, at) };
}

/** The disk of the volume of that DataVolume or claim. */
async function diskOf(target: UploadTarget): Promise<Buffer> {
  const { body } = await service.call<{ spec: { volumeName: string } }>(
    'GET',
    `/api/v1/namespaces/default/persistentvolumeclaims/${target.name}`,
  );
  return readFileSync(join(service.state.pool, 'volumes', body.spec.volumeName, 'data', 'disk.img'));
}

async function stagedBytes(): Promise<number> {
  const staging = join(service.state.pool, 'staging');
  const files = await readdir(staging, { recursive: true, withFileTypes: true });
  const sizes = files.filter((entry) => entry.isFile()).map(({ parentPath, name }) => stat(join(parentPath, name)));
  return (await Promise.all(sizes)).reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

describe('behind the Ingress of the chart', () => {
  test.each([
    { kind: 'dv', words: ['--http1.1'] },
    { kind: 'dv', words: ['--http2'] },
    { kind: 'pvc', words: ['--http1.1', '-H', 'Transfer-Encoding: chunked'] },
  ] as const)('a disk larger than nginx takes by default arrives: $kind, $words', async ({ kind, words }) => {
    const target = targetOf(
      `${kind}-${words
        .join('')
        .toLowerCase()
        .replaceAll(/[^a-z0-9]/g, '')}`,
      kind,
    );
    const token = await open(target);
    expect(await curl(ingress, token, ...words)).toEqual({ status: 200, fault: '', body: '' });
    await takeStep(service, lastStep(target));
    expect((await diskOf(target)).equals(disk)).toBe(true);
  });

  test('bytes pass as they come: what was sent is with the worker while the client still sends', async () => {
    const target = targetOf('streamed');
    const token = await open(target);
    const half = Promise.withResolvers<void>();
    const body = Readable.from(
      (async function* sending() {
        yield disk.subarray(0, disk.length / 2);
        await half.promise;
        yield disk.subarray(disk.length / 2);
      })(),
    );
    const answered = callHttps('POST', new URL('/v1beta1/upload', ingress.url), {
      ...{ ca: tls.ca, body },
      headers: { authorization: `Bearer ${token}`, 'content-length': String(disk.length) },
    });
    await until('the half is with the worker', async () => (await stagedBytes()) > disk.length / 4);
    expect(await ingress.keptBodies()).toEqual([]);
    half.resolve();
    expect((await answered).status).toBe(200);
    await takeStep(service, lastStep(target));
    expect((await diskOf(target)).equals(disk)).toBe(true);
  });

  test('refusals come through as they are, also while the client still sends', async () => {
    const target = targetOf('small', 'dv', mebibyte);
    const token = await open(target);
    expect(await curl(ingress, 'none')).toMatchObject({ status: 401, fault: 'TokenInvalid' });
    expect(await curl(ingress, token, '--http1.1')).toMatchObject({ status: 400, fault: 'ImageTooLarge' });
    await until('it waits again', async () => (await curl(ingress, token, '--http2')).fault === 'ImageTooLarge');
    expect(await readdir(join(service.state.pool, 'staging'))).toEqual([]);
  });

  test('a second upload is told that the first has ended, in words', async () => {
    const target = targetOf('twice');
    const token = await open(target);
    expect(await curl(ingress, token)).toMatchObject({ status: 200 });
    await takeStep(service, lastStep(target));
    const again = await curl(ingress, token);
    expect(again).toMatchObject({ status: 503, fault: 'UploadFinished' });
    expect(again.body).not.toContain('nginx');
  });

  test('a client that goes away is heard of, and the claim waits for the next', async () => {
    const target = targetOf('left');
    const token = await open(target);
    await expect(curl(ingress, token, '--limit-rate', '4M', '--max-time', '1')).rejects.toMatchObject({ code: 28 });
    await until('it is taken now', async () => (await curl(ingress, token)).status === 200);
    await takeStep(service, lastStep(target));
    expect((await diskOf(target)).equals(disk)).toBe(true);
  });

  test('without the annotations nginx refuses the disk itself', async () => {
    const annotations = { 'nginx.ingress.kubernetes.io/backend-protocol': 'HTTPS' };
    await using bare = await startIngress(annotations);
    const token = await open(targetOf('bare'));
    expect(await curl(bare, token)).toMatchObject({ status: 413, fault: '', body: expect.stringContaining('nginx') });
  });
});
