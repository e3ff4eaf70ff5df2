// A TCP relay for tests that cuts connections: each of the first ones after so many bytes of answers, then no more. Counts what it passed on.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class CuttingRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Cuts that are still to come. */
  cutsLeft = 0;
  cuts = 0;
  /** What happens before the other side notices a cut. */
  onCut: () => Promise<void> = async () => undefined;

  private constructor(target: number, cutAfterBytes: number) {
    this.#server = createServer((near) => this.#pass(near, target, cutAfterBytes));
  }

  /** @param target port on loopback */
  static async start(target: number, cutAfterBytes: number): Promise<CuttingRelay> {
    const relay = new CuttingRelay(target, cutAfterBytes);
    const { promise, resolve } = Promise.withResolvers<void>();
    relay.#server.listen(0, '127.0.0.1', () => resolve());
    await promise;
    return relay;
  }

  get origin(): string {
    // Safe: it listens on TCP.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#server[Symbol.asyncDispose]();
  }

  #pass(near: Socket, target: number, cutAfterBytes: number): void {
    const far = connect(target, '127.0.0.1');
    let left = cutAfterBytes;
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      left -= bytes.byteLength;
      near.write(left < 0 && this.cutsLeft > 0 ? bytes.subarray(0, left) : bytes);
      if (left >= 0 || this.cutsLeft === 0) return;
      this.cutsLeft -= 1;
      this.cuts += 1;
      far.removeAllListeners('close');
      far.destroy();
      this.onCut().then(
        () => near.destroySoon(),
        (error: Error) => near.destroy(error),
      );
    });
  }
}
