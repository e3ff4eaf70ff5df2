// /metrics, /livez and /readyz of one process, on loopback unless somebody says otherwise. /livez is what the supervisor (or kubelet) asks:
// a process that cannot answer it hangs and is started again.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { toFault } from '../domain/fault.ts';
import { closeServer, listenOn } from './listen.ts';
import { metrics, watchProcess } from './metrics.ts';

export interface MetricsServerOptions {
  /** 0 takes a free one. */
  port: number;
  host?: string;
  /** See watchProcess. */
  delayResolutionMs: number;
  /** What is wrong for good, so that only a restart helps; undefined where all is well. */
  live(): string | undefined;
  /** Why no work can be taken at the moment; undefined where it can. */
  ready(): string | undefined;
}

export interface MetricsServer {
  readonly address: { host: string; port: number };
  close(): Promise<void>;
}

/** @throws Fault AddressInUse */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const watch = watchProcess(options.delayResolutionMs);
  const server = createServer((request, response) => {
    answer(request, response, options, watch.take).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else reply(response, toFault(error).detail);
    });
  });
  server.keepAliveTimeout = 60_000;
  const address = await listenOn(server, { host: options.host ?? '127.0.0.1', port: options.port });
  return {
    address,
    close: async () => {
      watch.stop();
      await closeServer(server);
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: MetricsServerOptions,
  take: () => void,
): Promise<void> {
  switch (request.url) {
    case '/livez':
      return reply(response, options.live());
    case '/readyz':
      return reply(response, options.live() ?? options.ready());
    case '/metrics':
      take();
      response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
      response.end(await metrics.text());
      return;
    default:
      response.writeHead(404).end();
  }
}

function reply(response: ServerResponse, problem: string | undefined): void {
  response.writeHead(problem === undefined ? 200 : 503, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(problem ?? 'ok');
}
