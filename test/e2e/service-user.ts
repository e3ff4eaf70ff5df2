// Somebody who uses a running service from outside: runs `longshore` commands, makes DataVolumes over HTTPS, sends uploads, and looks at what
// lies in the pool. The commands are those of the same build as the service's (see service-fixture.ts).
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { DataVolume } from '../../domain/data-volume.ts';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import { type Service, until } from '../service-fixture.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const compiled = process.env['LONGSHORE_TEST_COMPILED'] === 'yes';
export const commandProgram = join(root, compiled ? 'dist/main/cli.js' : 'main/cli.ts');

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

interface Answer {
  status: number;
  fault: string | undefined;
  text: string;
}

/** Collects what a program prints. */
export function endOf(child: ChildProcess): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.once('error', reject);
  child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  return promise;
}

/** What a command prints of a fault: sentence, a detail, next step; and the exit code of the catalogue. */
export function expectTold(ended: Ended, code: FaultCode): void {
  const row = faultCatalogue[code];
  expect(ended).toMatchObject({ code: row.exit, stdout: '' });
  const lines = ended.stderr.trimEnd().split('\n');
  expect(lines).toContain(`${code}: ${row.sentence}`);
  expect(lines.at(-1)).toBe(`  ${row.nextStep}`);
  const at = lines.indexOf(`${code}: ${row.sentence}`);
  // The detail is between them and says more than either.
  expect(lines.length - at).toBeGreaterThanOrEqual(3);
  expect(lines[at + 1]?.trim().length).toBeGreaterThan(10);
}

export class ServiceUser {
  readonly service: Service;
  readonly namespace: string;

  constructor(service: Service, namespace = 'default') {
    this.service = service;
    this.namespace = namespace;
  }

  /** Runs `longshore WORDS`. */
  run(...words: string[]): Promise<Ended> {
    return this.runWith('', ...words);
  }

  /** The same with that text as its standard input. */
  runWith(input: string, ...words: string[]): Promise<Ended> {
    const env = { ...process.env, LONGSHORE_DATA: this.service.directory };
    const child = spawn(process.execPath, [commandProgram, ...words], { env, stdio: 'pipe', cwd: root });
    child.stdin.on('error', () => undefined); // most commands read nothing and end before
    child.stdin.end(input);
    return endOf(child);
  }

  nameOf(name: string): string {
    return `${this.namespace}/${name}`;
  }

  get volumesPath(): string {
    return `/apis/cdi.kubevirt.io/v1beta1/namespaces/${this.namespace}/datavolumes`;
  }

  /** Makes a DataVolume over the API. */
  async create(
    name: string,
    source: NonNullable<DataVolume['spec']['source']>,
    size: string,
    annotations: Record<string, string> = {},
  ): Promise<void> {
    const storage = { resources: { requests: { storage: size } } };
    const { status, body } = await this.service.call('POST', this.volumesPath, {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name, annotations } },
      spec: { source, storage },
    });
    expect(status, JSON.stringify(body)).toBe(201);
  }

  async volume(name: string): Promise<DataVolume> {
    return (await this.service.call<DataVolume>('GET', `${this.volumesPath}/${name}`)).body;
  }

  async untilPhase(name: string, phase: string, limitMs = 30_000): Promise<DataVolume> {
    let last: DataVolume | undefined;
    const isThere = async () => {
      last = await this.volume(name);
      return last.status?.phase === phase;
    };
    await until(`${name} is ${phase}`, isThere, limitMs).catch((cause: unknown) => {
      throw new Error(`${name} is not ${phase} but ${JSON.stringify(last?.status)}`, { cause });
    });
    if (last === undefined) throw new Error('never looked');
    return last;
  }

  async token(name: string): Promise<string> {
    const path = `/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/${this.namespace}/uploadtokenrequests`;
    const { body } = await this.service.call<{ status?: { token?: string } }>('POST', path, {
      ...{ apiVersion: 'upload.cdi.kubevirt.io/v1beta1', kind: 'UploadTokenRequest', metadata: { name } },
      spec: { pvcName: name },
    });
    return body.status?.token ?? '';
  }

  /** Makes a volume that waits for an upload. @returns a token for it */
  async openUpload(name: string, size: string): Promise<string> {
    await this.create(name, { upload: {} }, size);
    await this.untilPhase(name, 'UploadReady');
    return this.token(name);
  }

  get uploadUrl(): URL {
    return new URL('/v1beta1/upload', this.service.state.uploadProxy);
  }

  /** Sends bytes through the upload proxy. */
  async upload(token: string | undefined, bytes: Buffer, path = '/v1beta1/upload'): Promise<Answer> {
    const { status, text, headers } = await this.service.send('POST', new URL(path, this.uploadUrl), {
      headers: {
        'content-type': 'application/octet-stream',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: bytes,
    });
    return { status, text, fault: headers['longshore-fault']?.toString() };
  }

  /** Names of what lies in the pool's staging. */
  staged(): string[] {
    return readdirSync(join(this.service.state.pool, 'staging'));
  }

  /** Where the disk of a volume lies once it is complete. */
  diskOf(volume: DataVolume): string {
    const id = volume.status?.longshore?.volumeId ?? 'no volume id';
    return join(this.service.state.pool, 'volumes', id, 'data', 'disk.img');
  }

  /** Nothing of an attempt is left: no staging, and no disk in the volume. */
  expectNothingLeft(volume: DataVolume): void {
    expect(volume.status?.longshore?.volumeId).toMatch(/^pvc-/);
    expect({ staged: this.staged(), disk: existsSync(this.diskOf(volume)) }).toEqual({ staged: [], disk: false });
  }

  /** The object tells of the fault, after one attempt, and nothing is left. */
  async expectFailed(name: string, code: FaultCode, attempt = 1): Promise<DataVolume> {
    const volume = await this.volume(name);
    const { retryable, nextStep } = faultCatalogue[code];
    expect(volume.status).toMatchObject({
      phase: 'Failed',
      longshore: { attempt, fault: { code, retryable, nextStep, detail: expect.stringMatching(/.{10}/) } },
    });
    this.expectNothingLeft(volume);
    return volume;
  }
}
