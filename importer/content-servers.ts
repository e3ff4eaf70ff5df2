// Sources that are one content on a server, which differ in what it takes to be let in.
import type { Config } from '../runtime/config.ts';
import type { GcsLocation } from './gcs/gcs-server.ts';
import type { ContentServer } from './http/content-server.ts';
import { HttpConnection, type HttpLocation } from './http/http-connection.ts';
import type { S3Location } from './s3/s3-server.ts';

export type ServedLocation =
  | ({ kind: 'http' } & HttpLocation)
  | ({ kind: 's3' } & S3Location)
  | ({ kind: 'gcs' } & GcsLocation);

/** @throws Fault SourceRefused, SourceUnauthorized for what no request can be made of */
export async function contentServer(
  location: ServedLocation,
  config: Config,
  signal: AbortSignal,
): Promise<ContentServer> {
  if (location.kind === 'http') return new HttpConnection(location, config, signal);
  if (isPresigned(location.url)) return new HttpConnection(asAnyUrl(location), config, signal);
  // What only such a source needs is loaded with the first one: the client of S3 takes time and memory.
  if (location.kind === 's3') {
    const { S3Server } = await import('./s3/s3-server.ts');
    return new S3Server(location, config, signal);
  }
  const { GcsServer } = await import('./gcs/gcs-server.ts');
  return new GcsServer(location, config, signal);
}

/** True for a URL that carries its own right to read, as AWS and Google make them: it is read as any other. */
function isPresigned(url: string): boolean {
  const names = URL.canParse(url) ? [...new URL(url).searchParams.keys()].map((name) => name.toLowerCase()) : [];
  const old = names.includes('signature') && names.includes('expires');
  return old || names.includes('x-amz-signature') || names.includes('x-goog-signature');
}

function asAnyUrl({ url, certificates, insecureSkipVerify, proxy }: S3Location | GcsLocation): HttpLocation {
  return { url, headers: [], certificates, insecureSkipVerify, ...(proxy === undefined ? {} : { proxy }) };
}
