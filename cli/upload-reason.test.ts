import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { DataVolume, DataVolumeStatus } from '../domain/data-volume.ts';
import { Fault, faultRecord } from '../domain/fault.ts';
import { CertificateAuthority } from '../runtime/certificates.ts';
import { closeServer, listenOn } from '../runtime/listen.ts';
import { ApiClient } from './api-client.ts';
import { uploadReason } from './upload-reason.ts';

const name = { namespace: 'ns', name: 'disk' };
const older = faultRecord(new Fault('HostileImage', 'it has a backing file'));

let directory = '';
let server: Server;
let client: ApiClient;
let url = '';
/** What the object says, and what the proxy answers. */
let status: DataVolumeStatus;
let answerUpload: (response: ServerResponse) => void;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-upload-'));
  const authority = await CertificateAuthority.openOrCreate(directory);
  const tls = await authority.issue({ name: 'api', cn: 'api', hosts: ['127.0.0.1'], usages: ['server'] });
  server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    if (request.method === 'POST') answerUpload(response);
    else response.end(JSON.stringify(volume(status)));
  });
  const { port } = await listenOn(server, { host: '127.0.0.1', port: 0 });
  url = `https://127.0.0.1:${port}`;
  client = new ApiClient({ server: url, ca: tls.ca, token: 'x', kubeconfigPath: '' }, AbortSignal.timeout(30_000));
});
afterAll(async () => {
  await client.close();
  await closeServer(server);
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  status = { phase: 'UploadReady', longshore: { fault: older } };
});

function volume(of: DataVolumeStatus): DataVolume {
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: name, spec: {}, status: of };
}

async function reason(before: DataVolumeStatus = { phase: 'UploadReady', longshore: { fault: older } }) {
  const bytes = (async function* () {
    yield Buffer.from('x');
  })();
  const error: unknown = await client.upload(`${url}/v1beta1/upload-async`, 'token', bytes, 1).catch((why) => why);
  return await uploadReason(client, name, volume(before), error);
}

test('what the proxy answers itself is told, whatever stands on the object', async () => {
  answerUpload = (response) => response.writeHead(503, { 'longshore-fault': 'UploadBusy' }).end('another runs\n');
  expect(await reason()).toMatchObject({ code: 'UploadBusy', detail: 'another runs' });
});

test('where it tells nothing, what the object says since the upload began is told', async () => {
  answerUpload = (response) => response.destroy();
  expect(await reason()).toMatchObject({ code: 'ServiceUnreachable' });
  expect(await reason({ phase: 'UploadReady' })).toMatchObject({ code: 'HostileImage' });
  answerUpload = (response) => response.writeHead(502).end('bad gateway');
  status = { phase: 'Failed', longshore: { fault: older } };
  expect(await reason()).toMatchObject({ code: 'HostileImage' });
});
