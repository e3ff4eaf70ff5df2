// The worker's side of enrolment-server.ts: makes a key, has it certified for its node, and again when less than a third of the certificate's life is left or
// another CA signs. The CA is followed, so that who shows a certificate of the next one is trusted before anybody does. The files are those that a worker on one machine has, so the rest of the worker knows no difference.
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { Agent, request } from 'undici';
import { Fault, toFault } from '../domain/fault.ts';
import type { ObjectStore } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { certificatesIn, partLeft } from '../runtime/authority-files.ts';
import { controllerName, mustBe } from '../runtime/certificates.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { makeSigningRequest } from '../runtime/x509-maker.ts';
import { Enrolment } from './enrolment-server.ts';
import { caConfigMap } from './pki-secrets.ts';

export interface WorkerEnrolmentOptions {
  /** host:port of the controller's enrolment server. */
  address: string;
  /** Reads and follows the config map with the CA. */
  reader: Pick<ObjectStore, 'get' | 'watch'>;
  namespace: string;
  /** File with the token that the kubelet gave the pod for us. */
  tokenPath: string;
  /** Where worker.key, worker.crt and ca.crt go. */
  directory: string;
  everySeconds: number;
  logger: Logger;
}

const enrolmentCheck = Compile(Enrolment);
const firstPauseMs = 500;
const longestPauseMs = 15_000;
const followAgainMs = 1_000;

/**
 * Resolves when the worker has its certificate, and goes on until the signal aborts, calling each time what it was given here.
 * @throws Fault the signal's reason; what is refused is asked again, because who refuses may be about to change its mind
 */
export async function keepEnrolled(
  options: WorkerEnrolmentOptions,
  signal: AbortSignal,
): Promise<{ onWritten(call: () => void): void }> {
  const { directory, logger } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await enrolUntilDone(options, signal);
  const calls: (() => void)[] = [];
  const written = () => {
    for (const call of calls) call();
  };
  const look = async (ca?: string) => {
    try {
      if (ca !== undefined && (await takeCa(directory, ca))) written();
      if (!(await isToRenew(directory))) return;
      await enrolUntilDone(options, signal);
      written();
    } catch (error) {
      if (!signal.aborted) logger.error({ err: toFault(error) }, 'the certificate could not be looked at, tried again');
    }
  };
  let looking = Promise.resolve();
  const lookSoon = (ca?: string) => {
    looking = looking.then(() => look(ca));
  };
  const timer = setInterval(() => lookSoon(), options.everySeconds * 1_000);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  void followCa(options, lookSoon, signal);
  return { onWritten: (call) => calls.push(call) };
}

/** Never rejects. */
async function followCa(
  { reader, namespace, logger }: WorkerEnrolmentOptions,
  changed: (ca: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const fieldSelector = `metadata.name=${caConfigMap}`;
  while (!signal.aborted) {
    try {
      for await (const event of reader.watch(resources.configMaps, { namespace, fieldSelector, signal })) {
        if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue;
        const ca = event.object.data?.['ca.crt'];
        if (ca !== undefined) changed(ca);
      }
    } catch (error) {
      logger.warn({ err: toFault(error) }, 'the CA is not followed, begun anew');
    }
    await pauseFor(followAgainMs, signal).catch(() => undefined); // aborted: the loop ends
  }
}

/** @returns whether it is another than before */
async function takeCa(directory: string, ca: string): Promise<boolean> {
  const path = join(directory, 'ca.crt');
  if ((await readFile(path, 'utf8')) === ca) return false;
  await writeDurably(path, ca, 0o644);
  return true;
}

/** Where it ends soon, or another CA than that of the certificate signs now. */
async function isToRenew(directory: string): Promise<boolean> {
  const certificate = await readFile(join(directory, `${tlsNames.worker}.crt`), 'utf8');
  if (partLeft(certificate) < 1 / 3) return true;
  const [signing] = certificatesIn(await readFile(join(directory, 'ca.crt'), 'utf8'));
  return signing !== undefined && !new X509Certificate(certificate).verify(new X509Certificate(signing).publicKey);
}

async function enrolUntilDone(options: WorkerEnrolmentOptions, signal: AbortSignal): Promise<void> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      await enrol(options);
      return;
    } catch (error) {
      options.logger.warn({ err: toFault(error) }, 'no certificate yet, asked again');
    }
    await pauseFor(pauseMs, signal);
  }
}

async function enrol({
  address,
  reader,
  namespace,
  tokenPath,
  directory,
  logger,
}: WorkerEnrolmentOptions): Promise<void> {
  const ca = (await reader.get(resources.configMaps, { namespace, name: caConfigMap }))?.data?.['ca.crt'];
  if (ca === undefined) throw new Fault('NotFound', `config map ${namespace}/${caConfigMap} has no ca.crt yet`);
  const token = (await readFile(tokenPath, 'utf8')).trim();
  const { key, request: signingRequest } = await makeSigningRequest();
  const enrolment = await ask(address, { ca, token, signingRequest });
  await writeDurably(join(directory, 'ca.crt'), enrolment.ca, 0o644);
  await writeDurably(join(directory, `${tlsNames.worker}.key`), key, 0o600);
  await writeDurably(join(directory, `${tlsNames.worker}.crt`), enrolment.certificate, 0o644);
  logger.info({ validTo: new X509Certificate(enrolment.certificate).validTo }, 'enrolled');
}

async function ask(
  address: string,
  { ca, token, signingRequest }: { ca: string; token: string; signingRequest: string },
): Promise<Enrolment> {
  const agent = new Agent({ allowH2: false, connect: { ca, checkServerIdentity: mustBe(controllerName) } });
  try {
    const { statusCode, body } = await request(`https://${address}/enrol`, {
      method: 'POST',
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ request: signingRequest }),
    });
    const answer = await body.text();
    if (statusCode !== 200) throw new Fault('ServiceUnreachable', `the controller answered ${statusCode}: ${answer}`);
    const enrolment: unknown = JSON.parse(answer);
    if (!enrolmentCheck.Check(enrolment))
      throw new Fault('ServiceUnreachable', 'the controller’s answer is no enrolment');
    return enrolment;
  } catch (error) {
    throw toFault(error, { otherwise: 'ServiceUnreachable' });
  } finally {
    await agent.destroy();
  }
}
