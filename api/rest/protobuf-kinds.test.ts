import { describe, expect, test } from 'vitest';
import { readProtobuf } from './protobuf-kinds.ts';

/** A length-delimited field. */
function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  if (bytes.length > 127) throw new Error('longer than this helper writes');
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

function message(apiVersion: string, kind: string, raw: Buffer): Buffer {
  const type = field(1, Buffer.concat([field(1, apiVersion), field(2, kind)]));
  return Buffer.concat([Buffer.from('k8s\0'), type, field(2, raw)]);
}

describe('protobuf of Kubernetes', () => {
  test('a claim is read with its maps, lists and quantities', () => {
    const label = field(11, Buffer.concat([field(1, 'app'), field(2, '')]));
    const metadata = field(1, Buffer.concat([field(1, 'p'), field(2, ''), label]));
    const size = field(2, Buffer.concat([field(1, 'storage'), field(2, field(1, '1Gi'))]));
    const spec = field(
      2,
      Buffer.concat([field(1, 'ReadWriteOnce'), field(1, 'ReadOnlyMany'), field(2, size), field(6, 'Block')]),
    );
    expect(readProtobuf(message('v1', 'PersistentVolumeClaim', Buffer.concat([metadata, spec])))).toEqual({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'p', labels: { app: '' } },
      spec: {
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        resources: { requests: { storage: '1Gi' } },
        volumeMode: 'Block',
      },
    });
  });

  test('what is cut, foreign or unknown is a bad request', () => {
    const whole = message('v1', 'Namespace', field(1, field(1, 'n')));
    for (let length = 0; length < whole.length - 1; length += 1) {
      const cut = (): unknown => readProtobuf(whole.subarray(0, length));
      let code = 'read';
      try {
        cut();
      } catch (error) {
        code = error instanceof Error && 'code' in error ? String(error.code) : 'another error';
      }
      expect(['MalformedRequest', 'read']).toContain(code);
    }
    expect(() => readProtobuf(message('apps/v1', 'Deployment', Buffer.alloc(0)))).toThrow(/send JSON/);
    expect(() => readProtobuf(Buffer.from('{"kind":"Namespace"}'))).toThrow(/MalformedRequest/);
  });
});
