// The controller's end of the channel: takes TLS connections of workers, whose certificate names their node. A worker that connects again takes the place
// of its former connection. What the calls mean is said in worker-calls.ts.
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Fault } from '../../domain/fault.ts';
import { Channel } from '../../jobs/channel.ts';
import { nodeOfCertificate } from '../../jobs/channel-peer.ts';
import { channelVersion, controllerCalls, workerCalls } from '../../jobs/channel-protocol.ts';
import type { TlsPair } from '../../runtime/certificates.ts';
import type { Licence } from '../../runtime/licence.ts';
import { closeServer, formatAddress, type ListenAddress, listenOn } from '../../runtime/listen.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { NodeChannel } from '../controller-context.ts';

export interface ChannelServerOptions {
  tls: TlsPair;
  address: ListenAddress;
  logger: Logger;
  /** Without it no worker is asked or answered; see Channel. */
  licence?: Pick<Licence, 'assertHeld'> | undefined;
  /** Registers the answers; called in the turn in which the channel is made. */
  answer(node: string, channel: NodeChannel): void;
  /** The worker has said hello. */
  onConnect(node: string, channel: NodeChannel): void;
  onDisconnect(node: string, channel: NodeChannel): void;
}

export class ChannelServer {
  /** host:port */
  readonly address: string;
  readonly #server: Server;
  readonly #open: Set<NodeChannel>;

  private constructor(address: string, server: Server, open: Set<NodeChannel>) {
    this.address = address;
    this.#server = server;
    this.#open = open;
  }

  /** @throws Fault AddressInUse, PermissionDenied */
  static async listen(options: ChannelServerOptions): Promise<ChannelServer> {
    const open = new Set<NodeChannel>();
    const { key, cert, ca } = options.tls;
    const server = createServer({ key, cert, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' });
    options.tls.onRenewal?.((pair) => server.setSecureContext({ ...pair, minVersion: 'TLSv1.3' }));
    server.on('tlsClientError', (error) => options.logger.info({ err: error }, 'channel refused'));
    server.on('secureConnection', (socket) => take(socket, open, options));
    const address = await listenOn(server, options.address);
    return new ChannelServer(formatAddress(address), server, open);
  }

  async close(): Promise<void> {
    const closed = closeServer(this.#server);
    for (const channel of this.#open) channel.close();
    await closed;
  }
}

function take(socket: TLSSocket, open: Set<NodeChannel>, options: ChannelServerOptions): void {
  const { logger, licence } = options;
  const node = nodeOfCertificate(socket.getPeerCertificate());
  if (node === undefined) {
    logger.warn('channel refused: the certificate is no worker’s');
    socket.destroy();
    return;
  }
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 10_000);
  const channel: NodeChannel = new Channel({ socket, asks: workerCalls, answers: controllerCalls, logger, licence });
  open.add(channel);
  channel.handle('hello', async (hello) => {
    if (hello.channelVersion !== channelVersion) {
      throw new Fault('NewerVersion', `channel version ${hello.channelVersion}, this is ${channelVersion}`);
    }
    if (hello.node !== node) throw new Fault('Forbidden', `the certificate is of node ${node}, not ${hello.node}`);
    options.onConnect(node, channel);
    return {};
  });
  options.answer(node, channel);
  void channel.closed.then((why) => {
    open.delete(channel);
    logger.info({ node, why: why.detail }, 'worker disconnected');
    options.onDisconnect(node, channel);
  });
}
