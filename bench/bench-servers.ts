// The servers that the benchmark imports from: nginx always; a container registry, an S3 server and a slow line to nginx where a case wants them.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { DebianRegistry, skopeo } from '../test/registry/debian-registry.ts';
import { SwiftServer, swiftKeys, swiftRegion } from '../test/sources/swift-server.ts';
import type { BenchImages, ImageForm } from './bench-images.ts';
import { type BenchNginx, startNginx } from './bench-nginx.ts';
import { SlowRelay } from './slow-relay.ts';

export type ServerName = 'registry' | 's3' | 'relay';

export const slowLine = { roundTripMs: 100, bytesPerSecond: 50_000_000 };

const emptySha256 = createHash('sha256').digest('hex');

export class BenchServers implements AsyncDisposable {
  readonly nginx: BenchNginx;
  #registry: DebianRegistry | undefined;
  #s3: SwiftServer | undefined;
  #relay: SlowRelay | undefined;

  private constructor(nginx: BenchNginx) {
    this.nginx = nginx;
  }

  /** @param directory of the images */
  static async start(cache: string, directory: string, wanted: ReadonlySet<ServerName>): Promise<BenchServers> {
    const servers = new BenchServers(await startNginx(cache, directory));
    try {
      if (wanted.has('registry')) servers.#registry = await DebianRegistry.start();
      if (wanted.has('s3')) servers.#s3 = await SwiftServer.start();
      if (wanted.has('relay')) servers.#relay = await SlowRelay.start(servers.nginx.httpUrl, slowLine);
      return servers;
    } catch (error) {
      await servers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Gives those servers their images that do not serve the files as they lie in the directory. */
  async publish(images: BenchImages): Promise<void> {
    if (this.#registry !== undefined) {
      const to = `docker://${this.#registry.host}/${repositoryOf(images)}`;
      await skopeo('copy', '-q', '--dest-tls-verify=false', `oci:${images.path('oci')}:image`, to);
    }
    if (this.#s3 !== undefined) {
      const path = images.path('qcow2');
      const object = { Bucket: 'images', Key: images.name('qcow2'), ContentLength: (await stat(path)).size };
      await this.#s3.client.send(new PutObjectCommand({ ...object, Body: createReadStream(path) }));
    }
  }

  url(images: BenchImages, form: ImageForm): string {
    return `${this.nginx.httpUrl}/${images.name(form)}`;
  }

  slowUrl(images: BenchImages, form: ImageForm): string {
    return `${started(this.#relay).url}/${images.name(form)}`;
  }

  /** host:port, or undefined where there is none. */
  get registryHost(): string | undefined {
    return this.#registry?.host;
  }

  /** Of the container disk. */
  registryUrl(images: BenchImages): string {
    return started(this.#registry).url(repositoryOf(images));
  }

  /** Where a client fetches the one layer of the container disk. */
  async layerUrl(images: BenchImages): Promise<string> {
    const registry = started(this.#registry);
    const text = await skopeo('inspect', '--raw', '--tls-verify=false', registry.url(repositoryOf(images)));
    // Safe: a manifest of ours, which the registry has taken.
    const { layers } = JSON.parse(text) as { layers: { digest: string }[] };
    return `http://${registry.host}/v2/disk/blobs/${layers[0]?.digest}`;
  }

  /** As an S3 source names the qcow2. */
  s3Url(images: BenchImages): string {
    return `s3://images/${images.name('qcow2')}?endpoint=${started(this.#s3).origin}&region=${swiftRegion}`;
  }

  /** The same for a curl that signs, with the words by which it does. */
  s3ForCurl(images: BenchImages): { url: string; words: string[] } {
    const url = new URL(started(this.#s3).url(images.name('qcow2')));
    // In the URL, since an access key with a colon in it cannot be told by --user.
    url.username = encodeURIComponent(swiftKeys.accessKeyId);
    url.password = swiftKeys.secretAccessKey;
    const words = ['--aws-sigv4', `aws:amz:${swiftRegion}:s3`, '-H', `x-amz-content-sha256: ${emptySha256}`];
    return { url: url.href, words };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relay?.[Symbol.asyncDispose]();
    await this.#s3?.[Symbol.asyncDispose]();
    await this.#registry?.stop();
    await this.nginx.stop();
  }
}

function repositoryOf({ sizeBytes }: BenchImages): string {
  return `disk:${sizeBytes}`;
}

function started<T>(server: T | undefined): T {
  if (server === undefined) throw new Error('the case did not say that it wants this server');
  return server;
}
