// The plain connections of one attempt: one is used again when its answer was read to the end. Gives up for good where a server answers otherwise
// than plainly.
import { type PlainAnswer, PlainConnection, type Surroundings } from './plain-connection.ts';

export class PlainConnections {
  readonly #surroundings: Surroundings;
  readonly #connections = new Map<PlainConnection, string>();
  #unfit = false;
  #closed = false;
  #sentTooMuch = false;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** True once a server sent bytes after the end that it had declared. */
  get sentTooMuch(): boolean {
    this.#forgetEnded();
    return this.#sentTooMuch;
  }

  /** @returns undefined where another client should ask. @throws the error of the socket, or of undici for a time limit */
  async ask(url: URL, headers: Record<string, string>): Promise<PlainAnswer | undefined> {
    if (this.#unfit || this.#closed) return undefined;
    const connection = await this.#connectionTo(url);
    const answer = await connection.ask(url, headers);
    if (answer === undefined) this.#unfit = true;
    return answer;
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#connections.keys()) connection.destroy();
  }

  async #connectionTo(url: URL): Promise<PlainConnection> {
    this.#forgetEnded();
    for (const [connection, to] of this.#connections) {
      if (to === url.host && connection.tryTake()) return connection;
    }
    const connection = await PlainConnection.open(url, this.#surroundings);
    if (this.#closed) connection.destroy();
    this.#connections.set(connection, url.host);
    return connection;
  }

  #forgetEnded(): void {
    for (const connection of this.#connections.keys()) {
      this.#sentTooMuch ||= connection.sentTooMuch;
      if (connection.ended) this.#connections.delete(connection);
    }
  }
}
