// Reads where an object is from the URL that a user gives for an S3 source. CDI's form is the URL of a server with bucket and key in its path; the names
// of AWS's servers may hold the bucket too. `s3://bucket/key?endpoint=…&region=…` is ours: with it the bucket goes into the name of the server where that
// is possible, as AWS's own clients do it. Pure.
import { Fault } from '../../domain/fault.ts';

export interface S3Place {
  /** Server without bucket: origin only. */
  endpoint: URL;
  bucket: string;
  key: string;
  versionId?: string;
  /** The bucket is the first element of the path; else it is a part of the server's name, where it can be. */
  pathStyle: boolean;
  /** By which requests are signed, unless the server names another one. */
  region: string;
  /** A server of AWS, of which there is one in each region. */
  ofAws: boolean;
}

const usualRegion = 'us-east-1';

/** Endpoints of AWS: [bucket.]s3[.dualstack][.region].amazonaws.com, also with s3-region or s3-fips, and in China. */
const awsHost =
  /^(?:(?<bucket>.+)\.)?s3(?:-fips)?(?:\.dualstack)?(?:[.-](?<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?$/;

/** What is said beside the URL. */
export interface S3Defaults {
  /** Goes before what the URL tells. */
  region?: string | undefined;
  /** Server of `s3://` URLs that name none; empty for AWS's. */
  endpoint?: string;
}

/** @throws Fault SourceRefused for what names no object on a server */
export function parseS3Url(text: string, { region, endpoint = '' }: S3Defaults = {}): S3Place {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new Fault('SourceRefused', 'the URL is not valid');
  const place = url.protocol === 's3:' ? placeByBucket(url, { region, endpoint }) : placeByServer(url);
  if (place.bucket === '' || place.key === '') {
    throw new Fault(
      'SourceRefused',
      'the URL of an S3 source names no bucket and key, as in https://server/bucket/key',
    );
  }
  const versionId = url.searchParams.get('versionId') ?? '';
  return {
    ...place,
    ...(versionId === '' ? {} : { versionId }),
    region: region ?? url.searchParams.get('region') ?? awsRegion(place.endpoint) ?? usualRegion,
    ofAws: isAws(place.endpoint),
  };
}

/** The same object where AWS keeps buckets of that region; other servers stay, and only the signature changes. */
export function inRegion(place: S3Place, region: string): S3Place {
  return { ...place, region, endpoint: place.ofAws ? awsEndpoint(region) : place.endpoint };
}

type Named = Pick<S3Place, 'endpoint' | 'bucket' | 'key' | 'pathStyle'>;

function placeByBucket(url: URL, defaults: S3Defaults): Named {
  const region = defaults.region ?? url.searchParams.get('region') ?? usualRegion;
  const endpoint = endpointOf(url.searchParams.get('endpoint') ?? defaults.endpoint ?? '', region);
  return { endpoint, bucket: decoded(url.hostname), key: decoded(url.pathname.slice(1)), pathStyle: false };
}

function placeByServer(url: URL): Named {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Fault('SourceRefused', 'the URL of an S3 source begins with https://, http:// or s3://');
  }
  const inName = awsHost.exec(url.hostname)?.groups?.['bucket'];
  if (inName !== undefined) {
    const endpoint = new URL(url.origin);
    endpoint.hostname = url.hostname.slice(inName.length + 1);
    return { endpoint, bucket: inName, key: decoded(url.pathname.slice(1)), pathStyle: false };
  }
  const [bucket = '', ...key] = url.pathname.slice(1).split('/');
  return { endpoint: new URL(url.origin), bucket: decoded(bucket), key: decoded(key.join('/')), pathStyle: true };
}

function endpointOf(given: string, region: string): URL {
  if (given === '') return awsEndpoint(region);
  const text = given.includes('://') ? given : `https://${given}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== '/') {
    throw new Fault('SourceRefused', 'the endpoint in the URL of an S3 source is not a server');
  }
  return new URL(url.origin);
}

function awsEndpoint(region: string): URL {
  if (!/^[a-z0-9-]+$/.test(region)) throw new Fault('SourceRefused', 'the region of the S3 source is not valid');
  return new URL(`https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`);
}

function awsRegion(endpoint: URL): string | undefined {
  return awsHost.exec(endpoint.hostname)?.groups?.['region'];
}

function isAws(endpoint: URL): boolean {
  return awsHost.test(endpoint.hostname);
}

/** @throws Fault SourceRefused for a broken percent encoding */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new Fault('SourceRefused', 'the URL of the S3 source is not percent-encoded', { cause });
  }
}
