// Reads where an object is from the URL that a user gives for a Google Cloud Storage source: gs://bucket/object, or the URL of a server with both in its
// path, as CDI takes them; Google's own names of it may hold the bucket too. Pure.
import { Fault } from '../../domain/fault.ts';

/** Names under which Google serves the same objects; the last one wants a browser that is logged in. */
const googleHosts = ['storage.googleapis.com', 'storage-download.googleapis.com', 'storage.cloud.google.com'];
const bucketInName = /^(?<bucket>.+)\.storage\.googleapis\.com$/;

/**
 * @param endpoint URL of the service that gs:// means
 * @returns the URL of the object in the XML API: endpoint/bucket/object, with the generation where the user names one
 * @throws Fault SourceRefused for what names no object
 */
export function gcsObjectUrl(text: string, endpoint: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^(gs|https?):$/.test(url.protocol)) {
    throw new Fault('SourceRefused', 'the URL of a GCS source begins with gs://, https:// or http://');
  }
  const { server, path } = placeOf(url, endpoint);
  if (!/^\/[^/]+\/.+/.test(path)) {
    throw new Fault('SourceRefused', 'the URL of a GCS source names no bucket and object, as in gs://bucket/object');
  }
  const generation = url.searchParams.get('generation') ?? '';
  if (!/^\d*$/.test(generation)) throw new Fault('SourceRefused', 'the generation of a GCS object is a number');
  return new URL(`${server}${path}${generation === '' ? '' : `?generation=${generation}`}`);
}

function placeOf(url: URL, endpoint: string): { server: string; path: string } {
  const google = endpoint.replace(/\/+$/, '');
  if (url.protocol === 'gs:') return { server: google, path: `/${url.hostname}${url.pathname}` };
  if (googleHosts.includes(url.hostname)) return { server: google, path: url.pathname };
  const bucket = bucketInName.exec(url.hostname)?.groups?.['bucket'];
  if (bucket !== undefined) return { server: google, path: `/${bucket}${url.pathname}` };
  return { server: url.origin, path: url.pathname };
}
