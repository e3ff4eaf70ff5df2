import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { type FaultCode, faultCatalogue } from '../domain/fault-catalogue.ts';
import { csiMessages, messagesPath } from '../scripts/generate-csi-messages.ts';
import { loadServices } from './grpc-services.ts';
import { statusOf } from './grpc-status.ts';

test('messages.json holds what the texts of the interfaces say', () => {
  expect(readFileSync(messagesPath, 'utf8')).toBe(csiMessages());
});

test('the services have the paths that a kubelet calls', () => {
  const definitionOf = loadServices();
  expect(definitionOf('csi.v1.Node')['NodePublishVolume']?.path).toBe('/csi.v1.Node/NodePublishVolume');
  expect(definitionOf('pluginregistration.Registration')['GetInfo']?.path).toBe(
    '/pluginregistration.Registration/GetInfo',
  );
});

// Safe: the keys of the very table that FaultCode is derived from.
test.each(Object.keys(faultCatalogue) as FaultCode[])('%s has a status of gRPC, and says what to do next', (code) => {
  const { code: number, details } = statusOf(new Fault(code, `what exactly: ${'long '.repeat(1000)}`));
  expect(status[number]).toBe(faultCatalogue[code].grpc);
  expect(details).toContain(faultCatalogue[code].nextStep);
  expect(Buffer.byteLength(details)).toBeLessThan(2048);
});
