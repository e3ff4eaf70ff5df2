// Bodies of requests: JSON in its several media types, YAML for apply, and Kubernetes' protobuf for the kinds that kubectl sends so.
import type { FastifyInstance } from 'fastify';
import { parse } from 'yaml';
import { badRequest } from './kube-status.ts';
import { readProtobuf } from './protobuf-kinds.ts';

const jsonTypes = [
  'application/json',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];
const yamlTypes = ['application/apply-patch+yaml', 'application/yaml'];

function parseWith(read: (text: string) => unknown, text: string): unknown {
  try {
    return text === '' ? undefined : read(text);
  } catch (error) {
    throw badRequest(
      `the body of the request cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

export function registerBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(jsonTypes, { parseAs: 'string' }, async (_request: unknown, text: string | Buffer) =>
    parseWith((body) => JSON.parse(body), String(text)),
  );
  // Aliases are few at most, so that a small text cannot become a large object.
  app.addContentTypeParser(yamlTypes, { parseAs: 'string' }, async (_request: unknown, text: string | Buffer) =>
    parseWith((body) => parse(body, { maxAliasCount: 20 }), String(text)),
  );
  app.addContentTypeParser(
    'application/vnd.kubernetes.protobuf',
    { parseAs: 'buffer' },
    async (_request: unknown, body: string | Buffer) => readProtobuf(Buffer.from(body)),
  );
}
