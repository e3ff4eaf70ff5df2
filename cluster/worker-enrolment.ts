// The worker's side of enrolment-server.ts: makes a key, has it certified for its node, and again when less than a third of the certificate's life is left.
// The files are those that a worker on one machine has, so the rest of the worker knows no difference.
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Compile } from 'typebox/compile';
import { Agent, request } from 'undici';
import { Fault, toFault } from '../domain/fault.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
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
  /** Reads the config map with the CA. */
  reader: ObjectReader;
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

/**
 * Resolves when the worker has its certificate, and renews it from then on until the signal aborts.
 * @throws Fault the signal's reason; what is refused is asked again, because who refuses may be about to change its mind
 */
export async function keepEnrolled(options: WorkerEnrolmentOptions, signal: AbortSignal): Promise<void> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  await enrolUntilDone(options, signal);
  const look = async () => {
    try {
      if (await endsSoon(join(options.directory, `${tlsNames.worker}.crt`))) await enrol(options);
    } catch (error) {
      options.logger.error({ err: toFault(error) }, 'the certificate could not be renewed, tried again');
    }
  };
  const timer = setInterval(() => void look(), options.everySeconds * 1_000);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
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

async function endsSoon(path: string): Promise<boolean> {
  const { validFromDate, validToDate } = new X509Certificate(await readFile(path));
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return to - Date.now() < (to - from) / 3;
}
