// Every way on which a user, a server that a user names, or a setting can lead the worker to a place: what lies at the door, and which source goes there.
import { generateKeyPairSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ImportRequest } from '../../importer/import-image.ts';
import type { Config } from '../../runtime/config.ts';

type Source = ImportRequest['source'];

export interface WayOut {
  name: string;
  /** @param to origin of the place, @param door origin of a server that may be asked. */
  source: (to: string, door: string) => Source;
  settings?: (to: string, door: string) => Partial<Config>;
  /** What the door answers; 404 where nothing is said. */
  answer?: (to: string, request: IncomingMessage, response: ServerResponse) => void;
  /** A redirect that nobody follows, so that it ends in another way. */
  notFollowed?: 'RedirectRefused' | 'SourceRefused';
}

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const trust = { certificates: [], insecureSkipVerify: true };
const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };

const http = (url: string): Source => ({ kind: 'http', url, headers: [], ...trust });
const s3 = (url: string): Source => ({ kind: 's3', url, credentials, ...trust });
const registry = (origin: string): Source => ({
  ...{ kind: 'registry', url: `docker://${new URL(origin).host}/disks:latest`, architecture: 'amd64', ...trust },
});
const gcs = (url: string, account?: string): Source => ({
  ...{ kind: 'gcs', url, ...trust },
  ...(account === undefined ? {} : { serviceAccount: account }),
});
const accountOf = (origin: string): string =>
  JSON.stringify({
    ...{ type: 'service_account', client_email: 'reader@example.test', private_key: privateKey },
    token_uri: `${origin}/token`,
  });

const lead = (to: string, _request: IncomingMessage, response: ServerResponse): void => {
  response.writeHead(307, { location: `${to}/led` }).end();
};
const challenge = (realm: string, response: ServerResponse): void => {
  response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}/token",service="test"` }).end();
};
const emptyDigest = `sha256:${'0'.repeat(64)}`;
const manifest = JSON.stringify({
  ...{ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' },
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: emptyDigest, size: 2 },
  layers: [],
});

export const waysOut: readonly WayOut[] = [
  { name: 'an http source', source: (to) => http(`${to}/disk`) },
  { name: 'a redirect of an http source', source: (_to, door) => http(`${door}/disk`), answer: lead },
  { name: 'an S3 source', source: (to) => s3(`${to}/images/disk`) },
  { name: 'the endpoint in an s3:// URL', source: (to) => s3(`s3://images/disk?endpoint=${to}`) },
  {
    name: 'the endpoint for s3:// URLs that is set',
    source: () => s3('s3://images/disk'),
    settings: (to) => ({ s3Endpoint: to }),
  },
  {
    name: 'a redirect of an S3 server',
    source: (_to, door) => s3(`${door}/images/disk`),
    answer: lead,
    notFollowed: 'RedirectRefused',
  },
  {
    name: 'the token service for roles',
    source: (_to, door) => ({ kind: 's3', url: `${door}/images/disk`, ...trust }),
    settings: (to, door) => ({ ...{ s3RoleArn: 'arn:aws:iam::1:role/r', s3StsEndpoint: to }, s3Endpoint: door }),
  },
  { name: 'a GCS source', source: (to) => gcs(`${to}/images/disk`) },
  {
    name: 'the endpoint for gs:// URLs that is set',
    source: () => gcs('gs://images/disk'),
    settings: (to) => ({ gcsEndpoint: to }),
  },
  { name: 'token_uri of a service account', source: (to, door) => gcs(`${door}/images/disk`, accountOf(to)) },
  {
    name: 'a redirect of a GCS server',
    source: (_to, door) => gcs(`${door}/images/disk`),
    answer: lead,
    notFollowed: 'SourceRefused',
  },
  {
    name: 'a redirect of the token service of GCS',
    source: (_to, door) => gcs(`${door}/images/disk`, accountOf(door)),
    answer: lead,
    notFollowed: 'SourceRefused',
  },
  { name: 'a registry', source: (to) => registry(to) },
  { name: 'a redirect of a registry', source: (_to, door) => registry(door), answer: lead },
  {
    name: 'a redirect of a blob',
    source: (_to, door) => registry(door),
    answer: (to, request, response) => {
      if (request.url?.includes('/blobs/') === true) lead(to, request, response);
      else response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(manifest);
    },
  },
  {
    name: 'the realm that a registry names',
    source: (_to, door) => registry(door),
    answer: (to, _request, response) => challenge(to, response),
  },
  {
    name: 'a redirect of the realm',
    source: (_to, door) => registry(door),
    answer: (to, request, response) => {
      if (request.url?.startsWith('/token') === true) lead(to, request, response);
      else challenge(`http://${request.headers.host}`, response);
    },
  },
];
