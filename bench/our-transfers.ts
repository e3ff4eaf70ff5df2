// The same work done by Longshore: from the request to the committed volume. Each returns seconds, checks the digest and deletes the volume.
import { execFile } from 'node:child_process';
import { basename, join } from 'node:path';
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
import type { BenchImages } from './bench-images.ts';
import type { BenchNginx } from './bench-nginx.ts';

const run = promisify(execFile);
const silent = new ProgressDisplay({ write: () => undefined });

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

  static async open(service: RunningService, signal: AbortSignal): Promise<OurTransfers> {
    const access = await readServiceAccess(service.directory);
    return new OurTransfers(new ApiClient(access, signal), signal, service.directory);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async importImage(url: string, images: BenchImages): Promise<number> {
    const name = this.#nextName();
    const started = performance.now();
    await this.#create(name, { http: { url } }, images.sizeBytes);
    const volume = await this.#follow(name, isDone);
    const seconds = (performance.now() - started) / 1000;
    await this.#checkAndDelete(name, volume, images);
    return seconds;
  }

  importRaw(images: BenchImages, nginx: BenchNginx): Promise<number> {
    return this.importImage(`${nginx.httpUrl}/${basename(images.raw)}`, images);
  }

  importQcow2(images: BenchImages, nginx: BenchNginx): Promise<number> {
    return this.importImage(`${nginx.httpUrl}/${basename(images.qcow2)}`, images);
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
    await run('curl', ['-fsS', '--http1.1', ...trust, '-X', 'POST', '-H', authorization, '-T', images.raw, url]);
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
    return { namespace: 'default', name: `bench-${this.#count}` };
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
