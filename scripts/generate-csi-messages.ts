// Makes csi/proto/messages.json from the interface texts beside it, so that the driver parses no text at start and the compiler carries the file along.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/google/protobuf/descriptor.json' with { type: 'json' };

const directory = fileURLToPath(new URL('../csi/proto/', import.meta.url));

/** Where the driver reads them. */
export const messagesPath = `${directory}messages.json`;

/** What the texts say, as JSON. */
export function csiMessages(): string {
  protobuf.common('descriptor', descriptor.nested.google.nested.protobuf.nested);
  const root = new protobuf.Root();
  root.loadSync(['csi.proto', 'pluginregistration.proto'].map((name) => directory + name));
  return `${JSON.stringify(root.toJSON())}\n`;
}

if (import.meta.main) writeFileSync(messagesPath, csiMessages());
