import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CertificateAuthority } from '../runtime/certificates.ts';
import { closeServer, formatAddress, listenOn } from '../runtime/listen.ts';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { ApiClient } from './api-client.ts';
import { followVolume } from './follow-volume.ts';
import { isDone, makeVolume } from './make-volume.ts';
import { ProgressDisplay } from './progress-display.ts';

const name = { namespace: 'ns', name: 'disk' };

test('a service that is gone is told once, and found again where the kubeconfig says it is now', async () => {
  await using undo = new AsyncDisposableStack();
  const directory = await temporaryDirectory(undo, 'follow');
  const authority = await CertificateAuthority.openOrCreate(directory);
  const tls = await authority.issue({ name: 'api', cn: 'api', hosts: ['127.0.0.1'], usages: ['server'] });
  const done = { type: 'ADDED', object: { ...makeVolume(name, { blank: {} }), status: { phase: 'Succeeded' } } };
  const server = createServer({ key: tls.key, cert: tls.cert }, (_request, response) => {
    response.end(`${JSON.stringify(done)}\n`);
  });
  const address = await listenOn(server, { host: '127.0.0.1', port: 0 });
  undo.defer(() => closeServer(server));
  const kubeconfigPath = join(directory, 'kubeconfig');
  const cluster = { server: `https://${formatAddress(address)}`, 'certificate-authority-data': '' };
  const config = { clusters: [{ name: 'a', cluster }], users: [{ name: 'a', user: { token: 'secret' } }] };

  // Nobody listens there; where the service is now is written only after it was seen to be gone.
  const gone = { server: 'https://127.0.0.1:1', ca: authority.certificate, token: 'secret', kubeconfigPath };
  const client = new ApiClient(gone, AbortSignal.timeout(20_000));
  undo.defer(() => client.close());
  const said: string[] = [];
  const write = (line: string): void => {
    said.push(line);
    writeFileSync(kubeconfigPath, JSON.stringify(config));
  };
  const signal = AbortSignal.timeout(20_000);
  const reached = await followVolume(name, isDone, { client, display: new ProgressDisplay({ write }), signal });
  expect(reached.status?.phase).toBe('Succeeded');
  expect(said).toEqual([expect.stringMatching(/^ns\/disk: waits: ServiceUnreachable: 127\.0\.0\.1:1: /)]);
});
