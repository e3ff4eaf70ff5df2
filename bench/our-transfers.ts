// The same work done by Longshore: from the request to the committed volume. Each returns seconds, checks the digest and deletes the volume.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ApiClient } from '../cli/api-client.ts';
import { followVolume } from '../cli/follow-volume.ts';
import { isDone, makeVolume } from '../cli/make-volume.ts';
import { ProgressDisplay } from '../cli/progress-display.ts';
import { readServiceAccess } from '../cli/service-access.ts';
import { requestToken, uploadProxyUrl } from '../cli/upload-token.ts';
import type { VolumeName } from '../cli/volume-name.ts';
import type { DataVolume, DataVolumeSource } from '../domain/data-volume.ts';
import { resources } from '../domain/resources.ts';
import type { RunningService } from '../scripts/run-service.ts';
import { swiftKeys } from '../test/sources/swift-server.ts';
import type { BenchImages } from './bench-images.ts';

const run = promisify(execFile);
const silent = new ProgressDisplay({ write: () => undefined });
const namespace = 'default';

/** Of the secret with the keys of the S3 server. */
export const s3Secret = 'bench-s3';

export class OurTransfers {
  readonly #client: ApiClient;
  readonly #signal: AbortSignal;
  readonly #directory: string;
  #count = 0;

  private constructor(client: ApiClient, signal: AbortSignal, directory: string) {
    this.#client = client;
    this.#signal = signal;
    this.#directory = directory;
  }

  /** @param registryHost of a registry without TLS, which the service is told to take */
  static async open(
    service: RunningService,
    registryHost: string | undefined,
    signal: AbortSignal,
  ): Promise<OurTransfers> {
    const client = new ApiClient(await readServiceAccess(service.directory), signal);
    const insecure = { spec: { insecureRegistries: registryHost === undefined ? [] : [registryHost] } };
    await client.mergePatch(resources.cdiConfigs, { name: 'config' }, insecure);
    const data = { accessKeyId: base64(swiftKeys.accessKeyId), secretKey: base64(swiftKeys.secretAccessKey) };
    await client.create(resources.secrets, {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: s3Secret, namespace } },
      data,
    });
    return new OurTransfers(client, signal, service.directory);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async import(source: DataVolumeSource, images: BenchImages): Promise<number> {
    return this.importAtOnce(source, images, 1);
  }

  /** So many volumes of the same source, until the last one is there. */
  async importAtOnce(source: DataVolumeSource, images: BenchImages, volumes: number): Promise<number> {
    const names = Array.from({ length: volumes }, () => this.#nextName());
    const started = performance.now();
    await Promise.all(names.map((name) => this.#create(name, source, images.sizeBytes)));
    const made = await Promise.all(names.map(async (name) => ({ name, volume: await this.#follow(name, isDone) })));
    const seconds = (performance.now() - started) / 1000;
    for (const { name, volume } of made) await this.#checkAndDelete(name, volume, images);
    return seconds;
  }

  /** By curl, like its floor; the upload is answered when the volume is committed. */
  async uploadRaw(images: BenchImages): Promise<number> {
    const name = this.#nextName();
    await this.#create(name, { upload: {} }, images.sizeBytes);
    await this.#follow(name, (volume) => volume.status?.phase === 'UploadReady');
    const url = `${await uploadProxyUrl(this.#client)}/v1beta1/upload`;
    const authorization = `Authorization: Bearer ${await requestToken(this.#client, name)}`;
    const trust = ['--cacert', join(this.#directory, 'ca.crt')];
    const started = performance.now();
    await run('curl', [
      '-fsS',
      '--http1.1',
      ...trust,
      '-X',
      'POST',
      '-H',
      authorization,
      '-T',
      images.path('raw'),
      url,
    ]);
    const seconds = (performance.now() - started) / 1000;
    await this.#checkAndDelete(name, await this.#follow(name, isDone), images);
    return seconds;
  }

  /** Create to Succeeded of an empty volume. */
  async blank(sizeBytes: number): Promise<number> {
    const name = this.#nextName();
    const started = performance.now();
    await this.#create(name, { blank: {} }, sizeBytes);
    await this.#follow(name, isDone);
    const seconds = (performance.now() - started) / 1000;
    await this.#client.delete(resources.dataVolumes, name);
    return seconds;
  }

  async #create(name: VolumeName, source: DataVolumeSource, sizeBytes: number): Promise<void> {
    await this.#client.create(resources.dataVolumes, makeVolume(name, source, { size: String(sizeBytes) }));
  }

  #nextName(): VolumeName {
    this.#count += 1;
    return { namespace, name: `bench-${this.#count}` };
  }

  #follow(name: VolumeName, isReached: (volume: DataVolume) => boolean): Promise<DataVolume> {
    return followVolume(name, isReached, { client: this.#client, display: silent, signal: this.#signal });
  }

  async #checkAndDelete(name: VolumeName, volume: DataVolume, { contentDigest }: BenchImages): Promise<void> {
    const found = volume.status?.longshore?.contentDigest;
    if (found !== contentDigest) throw new Error(`${name.name} holds ${found}, not ${contentDigest}`);
    await this.#client.delete(resources.dataVolumes, name);
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
