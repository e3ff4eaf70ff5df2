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

/** A YAML parser takes time that grows with the square of some texts: more than this is taken as JSON only, which is YAML too. */
const longestYaml = 16 * 1024;

/** kubectl sends JSON under YAML's media type. Aliases are few at most, so that a small text cannot become a large object. */
function readYaml(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (text.length > longestYaml) throw error;
    return parse(text, { maxAliasCount: 20, uniqueKeys: false });
  }
}

export function registerBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(jsonTypes, { parseAs: 'string' }, async (_request: unknown, text: string | Buffer) =>
    parseWith((body) => JSON.parse(body), String(text)),
  );
  app.addContentTypeParser(yamlTypes, { parseAs: 'string' }, async (_request: unknown, text: string | Buffer) =>
    parseWith(readYaml, String(text)),
  );
  app.addContentTypeParser(
    'application/vnd.kubernetes.protobuf',
    { parseAs: 'buffer' },
    async (_request: unknown, body: string | Buffer) => readProtobuf(Buffer.from(body)),
  );
}
