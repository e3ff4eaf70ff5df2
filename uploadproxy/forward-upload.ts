// Passes one request on to the worker's upload server over mTLS and HTTP/1.1, with backpressure and a bounded amount of memory; a worker of this machine
// fetches the body from a socket of ours. Either side's end is the other's end; an answer that the worker gives early is returned while the client still sends.
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Agent, request as startRequest } from 'node:https';
import { Fault, toFault } from '../domain/fault.ts';
import { handedBodyHeader, handedBytesHeader } from '../jobs/handed-body.ts';
import { parseAddress } from '../runtime/listen.ts';
import type { BodySocket, OfferedBody } from './body-socket.ts';
import { passBody } from './pass-body.ts';
import type { ProxyAnswer } from './proxy-answer.ts';
import type { UploadTarget } from './upload-target.ts';

export interface Forwarding {
  agent: Agent;
  /** Where workers of this machine fetch bodies; undefined where they go with the request. */
  bodies: BodySocket | undefined;
  target: UploadTarget;
  /** As the client asked it. */
  path: string;
  /** Aborts when the client goes away; its reason is told. */
  signal: AbortSignal;
  /** Longest silence of a client that is not waited for. */
  idleTimeoutMs: number;
}

/** Own to one connection, or no business of the worker; a client may neither claim to be for another volume nor tell from where its body comes. */
const keptBack = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  handedBodyHeader,
  handedBytesHeader,
  'longshore-volume',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const returned = ['content-type', 'longshore-fault', 'longshore-detail', 'retry-after'];
const longestAnswerBytes = 64 * 1024;

/**
 * @returns what the worker answered; the body is then not necessarily read to its end
 * @throws Fault UploadUnreachable; UploadInterrupted where the client went away or fell silent
 */
export async function forwardUpload(request: IncomingMessage, forwarding: Forwarding): Promise<ProxyAnswer> {
  const ending = new AbortController();
  const signal = AbortSignal.any([forwarding.signal, ending.signal]);
  const offered = offerBody(request, forwarding);
  const upstream = openUpstream(request, forwarding, offered);
  const answered = answerOf(upstream, signal);
  const idle = watchSilence(request, forwarding.idleTimeoutMs, ending);
  let isSent = false;
  const sent = sendBody(request, upstream, offered, signal).then(() => {
    isSent = true;
  });
  // A worker that fetches the body may let go of it and then say why: its answer is what counts.
  if (offered !== undefined) sent.catch(() => undefined);
  try {
    // A failure to send is told only where no answer comes: a worker that refuses closes its side while bytes are under way.
    return await (offered === undefined ? Promise.race([answered, sent.then(() => answered)]) : answered);
  } catch (error) {
    throw toFault(error, { signal, otherwise: 'UploadUnreachable' });
  } finally {
    clearInterval(idle);
    offered?.withdraw();
    // Only then: a connection that is through is kept for the next upload.
    if (!isSent) ending.abort(new Fault('Cancelled', 'the answer came before the whole body'));
    // `sent` is not awaited: a client that is silent would hold up its own answer.
  }
}

/** Only a body of known length can be handed over: its end is not told otherwise. */
function offerBody(request: IncomingMessage, { bodies, target }: Forwarding): OfferedBody | undefined {
  const isKnown = request.headers['content-length'] !== undefined;
  return isKnown && bodies?.isReachedFrom(target.directoryIdentity) === true ? bodies.offer() : undefined;
}

function openUpstream(
  request: IncomingMessage,
  forwarding: Forwarding,
  offered: OfferedBody | undefined,
): ClientRequest {
  const { host, port } = parseAddress(forwarding.target.workerAddress);
  return startRequest({
    agent: forwarding.agent,
    host,
    port,
    path: forwarding.path,
    method: request.method ?? 'GET',
    headers: headersFor(request.headers, forwarding.target, offered),
    // Not where it is dialled, but whose worker answers: the agent compares this with the certificate.
    servername: forwarding.target.node,
  });
}

async function sendBody(
  request: IncomingMessage,
  upstream: ClientRequest,
  offered: OfferedBody | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (offered === undefined) return passBody(request, upstream, signal);
  upstream.end();
  const worker = await offered.taken;
  signal.addEventListener('abort', () => worker.destroy(), { once: true });
  await passBody(request, worker, signal);
}

function headersFor(
  headers: IncomingHttpHeaders,
  target: UploadTarget,
  offered: OfferedBody | undefined,
): Record<string, string | string[]> {
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !keptBack.has(name)) passed[name] = value;
  }
  const length = headers['content-length'];
  if (offered !== undefined) {
    Object.assign(passed, { 'content-length': '0', [handedBodyHeader]: offered.header, [handedBytesHeader]: length });
  } else if (length !== undefined) passed['content-length'] = length;
  else if (headers['transfer-encoding'] !== undefined) passed['transfer-encoding'] = 'chunked';
  return { ...passed, 'longshore-volume': target.volumeId };
}

/** What the worker answers, whole; answers are short. */
function answerOf(upstream: ClientRequest, signal: AbortSignal): Promise<ProxyAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ProxyAnswer>();
  upstream.once('error', reject);
  signal.addEventListener('abort', () => upstream.destroy(), { once: true });
  upstream.once('response', (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      if (body.length < longestAnswerBytes) body += text;
    });
    response.once('end', () => resolve({ status: response.statusCode ?? 502, body, headers: headersBack(response) }));
    response.once('error', reject);
  });
  upstream.once('close', () => reject(new Fault('UploadUnreachable', 'the worker ended the connection')));
  return promise;
}

function headersBack(response: IncomingMessage): Record<string, string> {
  const back: Record<string, string> = {};
  for (const name of returned) {
    const value = response.headers[name];
    if (typeof value === 'string') back[name] = value;
  }
  return back;
}

/** A client that sends nothing although it could is given up; one that we hold back is not. */
function watchSilence(request: IncomingMessage, idleTimeoutMs: number, ending: AbortController): NodeJS.Timeout {
  let [seen, since] = [request.socket.bytesRead, performance.now()];
  return setInterval(() => {
    const bytes = request.socket.bytesRead;
    if (bytes !== seen || request.complete || request.readableFlowing !== true) {
      [seen, since] = [bytes, performance.now()];
    } else if (performance.now() - since > idleTimeoutMs) {
      ending.abort(new Fault('UploadInterrupted', `the client sent nothing for ${idleTimeoutMs} ms`));
    }
  }, idleTimeoutMs / 4);
}
