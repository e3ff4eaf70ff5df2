// Certificates that live for seconds: the service outlives them without a restart, at every one of its doors and as a client of itself.
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAddress } from '../../runtime/listen.ts';
import { Service, until } from '../service-fixture.ts';

const lifetimeSeconds = 15;
const volumes = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';
const tokens = '/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/default/uploadtokenrequests';

let service: Service;
beforeAll(async () => {
  const environment = {
    LONGSHORE_CERTIFICATE_LIFETIME_S: String(lifetimeSeconds),
    LONGSHORE_CERTIFICATE_CHECK_S: '1',
  };
  service = await Service.start({ environment });
});
afterAll(async () => {
  await service.stop();
});

/** When the certificate ends that a door shows at this moment. */
async function endOf(address: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = connect({ ...parseAddress(address.replace('https://', '')), rejectUnauthorized: false }, () => {
    resolve(Date.parse(socket.getPeerCertificate().valid_to));
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

function doors(): string[] {
  const { api, uploadProxy, processes } = service.state;
  const [channel, upload] = [processes['api']?.addresses['channel'], processes['worker']?.addresses['upload']];
  return [api, uploadProxy, channel ?? '', upload ?? ''];
}

/** The proxy reads the claim from the API and passes the bytes to the worker: two clients of the service itself. */
async function upload(name: string): Promise<void> {
  const storage = { resources: { requests: { storage: '1Mi' } }, accessModes: ['ReadWriteOnce'] };
  const spec = { source: { upload: {} }, pvc: storage };
  const made = await service.call('POST', volumes, {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name }, spec },
  });
  expect(made.status).toBe(201);
  const phaseOf = async () =>
    (await service.call<{ status?: { phase?: string } }>('GET', `${volumes}/${name}`)).body.status?.phase;
  await until(`${name} waits for bytes`, async () => (await phaseOf()) === 'UploadReady');
  const asked = await service.call<{ status: { token: string } }>('POST', tokens, {
    ...{ apiVersion: 'upload.cdi.kubevirt.io/v1beta1', kind: 'UploadTokenRequest', metadata: { name } },
    spec: { pvcName: name },
  });
  const headers = { authorization: `Bearer ${asked.body.status.token}` };
  const url = new URL('/v1beta1/upload', service.state.uploadProxy);
  const answer = await service.send('POST', url, { headers, body: Buffer.alloc(1_048_576, 7) });
  expect([answer.status, answer.text]).toEqual([200, '']);
  await until(`${name} has succeeded`, async () => (await phaseOf()) === 'Succeeded');
}

test('the service outlives its certificates without a restart', async () => {
  const [pids, first] = [JSON.stringify(service.state.processes), await Promise.all(doors().map(endOf))];
  const last = Math.max(...first);
  expect(last).toBeLessThan(Date.now() + lifetimeSeconds * 1_000);
  await until('the first certificates have ended', () => Date.now() > last + 1_000);
  for (const end of await Promise.all(doors().map(endOf))) expect(end).toBeGreaterThan(Date.now());
  await upload('later');
  expect(JSON.stringify(service.state.processes)).toBe(pids);
});

test('either end of the channel connects again with what it has by then', async () => {
  for (const name of ['api', 'worker']) {
    const before = service.state.processes[name]?.pid ?? 0;
    process.kill(before, 'SIGKILL');
    await until(`${name} runs again`, () => service.state.processes[name]?.pid !== before);
    await until('the worker is ready', async () => (await service.probe('worker', 'readyz')).status === 200);
    await upload(`after-${name}`);
  }
});
