// The services that the driver serves, as grpc-js wants them: those of csi.proto and of the kubelet's plugin registration. See proto/README.md.
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Fault } from '../domain/fault.ts';
import messages from './proto/messages.json' with { type: 'json' };

export type ServiceName = 'csi.v1.Identity' | 'csi.v1.Controller' | 'csi.v1.Node' | 'pluginregistration.Registration';

/**
 * Members of messages are in camelCase; 64-bit numbers are texts, so that none loses a digit; enums are their names, or a number that this
 * version does not know; what was not sent is an empty text, list or map, or null for a message.
 */
export function loadServices(): (name: ServiceName) => ServiceDefinition {
  // Safe: protobufjs wrote it (scripts/generate-csi-messages.ts); the compiler takes the words of `rule` for any text.
  const tables = messages as Parameters<typeof fromJSON>[0];
  const definitions = fromJSON(tables, { longs: String, enums: String, defaults: true, oneofs: true });
  return (name) => {
    const found = definitions[name];
    // A message has a format; only services have methods.
    if (found === undefined || typeof found['format'] === 'string') {
      throw new Fault('Internal', `messages.json has no service ${name}`);
    }
    // Safe: what is no message and no enum is a service.
    return found as ServiceDefinition;
  };
}
