// A security token service for tests, which gives the same keys to whoever shows a token, and remembers what it was asked.
import { createServer, type Server } from 'node:http';
import { closeServer, formatAddress, listenOn } from '../../runtime/listen.ts';

export class RoleService implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly #server: Server;
  origin = '';
  port = 0;

  private constructor({ accessKeyId, secretAccessKey }: { accessKeyId: string; secretAccessKey: string }) {
    this.#server = createServer(async (from, to) => {
      const form = new URLSearchParams(Buffer.concat(await from.toArray()).toString());
      this.asked.push(['Action', 'RoleArn', 'WebIdentityToken'].map((name) => form.get(name) ?? '').join(' '));
      const keys = `<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>`;
      const ends = new Date(Date.now() + 3_600_000).toISOString();
      const given = `<Credentials>${keys}<SessionToken>t</SessionToken><Expiration>${ends}</Expiration></Credentials>`;
      const result = `<AssumeRoleWithWebIdentityResult>${given}</AssumeRoleWithWebIdentityResult>`;
      to.writeHead(200, { 'content-type': 'text/xml' });
      to.end(`<AssumeRoleWithWebIdentityResponse>${result}</AssumeRoleWithWebIdentityResponse>`);
    });
  }

  static async start(keys: { accessKeyId: string; secretAccessKey: string }): Promise<RoleService> {
    const service = new RoleService(keys);
    const address = await listenOn(service.#server, { host: '127.0.0.1', port: 0 });
    service.origin = `http://${formatAddress(address)}`;
    service.port = address.port;
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await closeServer(this.#server);
  }
}
