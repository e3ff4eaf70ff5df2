// An upload as a client without virtctl does it: volume, token, bytes; through the real proxy and the real worker.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Service, until } from '../service-fixture.ts';

const MiB = 1_048_576;
const volumes = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';
const tokens = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/default/uploadtokenrequests';

interface Volume {
  status?: { phase?: string; longshore?: { volumeId?: string } };
}

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(async () => {
  await service.stop();
});

async function volume(name: string): Promise<Volume> {
  return (await service.call<Volume>('GET', `${volumes}/${name}`)).body;
}

async function openUpload(name: string, size: string): Promise<Record<string, string>> {
  const pvc = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: size } } };
  const object = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name } };
  expect((await service.call('POST', volumes, { ...object, spec: { source: { upload: {} }, pvc } })).status).toBe(201);
  await until('the upload is ready', async () => (await volume(name)).status?.phase === 'UploadReady');
  const wanted = { apiVersion: 'upload.cdi.kubevirt.io/v1beta1', kind: 'UploadTokenRequest', metadata: { name } };
  const answer = await service.call<{ status: { token: string } }>('POST', tokens, {
    ...wanted,
    spec: { pvcName: name },
  });
  return { authorization: `Bearer ${answer.body.status.token}`, 'content-type': 'application/octet-stream' };
}

test('raw bytes become the disk, and the volume takes no second upload', async () => {
  const headers = await openUpload('raw', '8Mi');
  const bytes = Buffer.concat([randomBytes(3 * MiB), Buffer.alloc(2 * MiB), randomBytes(3 * MiB)]);
  const url = new URL('/v1beta1/upload', service.state.uploadProxy);
  expect((await service.send('POST', url, { headers, body: bytes })).status).toBe(200);
  await until('it has succeeded', async () => (await volume('raw')).status?.phase === 'Succeeded');
  const id = (await volume('raw')).status?.longshore?.volumeId ?? '';
  expect(readFileSync(join(service.state.pool, 'volumes', id, 'data', 'disk.img')).equals(bytes)).toBe(true);
  const again = await service.send('POST', url, { headers, body: bytes });
  expect([again.status, again.headers['longshore-fault']]).toEqual([503, 'UploadFinished']);
});

test('one that is too large is refused early, and the claim still waits for the right one', async () => {
  const headers = await openUpload('small', '1Mi');
  const url = new URL('/v1beta1/upload-async', service.state.uploadProxy);
  const refused = await service.send('POST', url, { headers, body: randomBytes(9 * MiB) });
  expect([refused.status, refused.headers['longshore-fault']]).toEqual([400, 'ImageTooLarge']);
  await until('it waits again', async () => (await service.send('HEAD', url, { headers })).status === 200);
  await until('the right one is taken', async () => {
    return (await service.send('POST', url, { headers, body: randomBytes(MiB) })).status === 200;
  });
  await until('it has succeeded', async () => (await volume('small')).status?.phase === 'Succeeded');
});
