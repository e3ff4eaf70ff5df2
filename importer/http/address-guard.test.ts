import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { AddressGuard } from './address-guard.ts';

const guardOf = (sourceAllow = '', sourceRefuse = '', kubeHost = '') =>
  new AddressGuard({ sourceAllow, sourceRefuse, kubeHost });

describe('an address', () => {
  test.each([
    ...['127.0.0.1', '127.255.1.2', '0.0.0.0', '169.254.169.254', '169.254.0.1', '224.0.0.1', '255.255.255.255'],
    ...['::', '::1', 'fe80::1', 'ff02::1', 'fd00:ec2::254', '100.100.100.200'],
    // The same addresses, written as IPv6.
    ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe'],
    ...['::127.0.0.1', '::a9fe:a9fe', '::ffff:0:127.0.0.1', '64:ff9b:1::7f00:1'],
    ...['2002:7f00:1::', '2002:a9fe:a9fe::1'],
  ])('%s is refused by default', (address) => {
    expect(guardOf().allows(address)).toBe(false);
  });

  test.each(['10.0.0.1', '192.168.1.1', '198.18.0.1', '93.184.216.34', '2001:db8::1', 'fd00::1', '64:ff9b::10.0.0.1'])(
    '%s is allowed by default',
    (address) => {
      expect(guardOf().allows(address)).toBe(true);
    },
  );

  test('is allowed or refused as the settings say, and what is allowed goes before', () => {
    const guard = guardOf('127.0.0.2, ::1/128', '10.96.0.0/12,127.0.0.0/8');
    expect(guard.allows('127.0.0.2')).toBe(true);
    expect(guard.allows('::ffff:127.0.0.2')).toBe(true);
    expect(guard.allows('::1')).toBe(true);
    expect(guard.allows('127.0.0.3')).toBe(false);
    expect(guard.allows('10.97.3.4')).toBe(false);
    expect(guard.allows('::ffff:10.97.3.4')).toBe(false);
    expect(guard.allows('10.112.0.1')).toBe(true);
  });
});

test('kube-apiserver is refused to a pod, unless it is allowed', () => {
  expect(guardOf('', '', '10.96.0.1').allows('10.96.0.1')).toBe(false);
  expect(guardOf('', '', '10.96.0.1').allows('10.96.0.2')).toBe(true);
  expect(guardOf('10.96.0.1', '', '10.96.0.1').allows('10.96.0.1')).toBe(true);
  expect(guardOf('', '', 'api.example').allows('10.96.0.1')).toBe(true);
});

describe('a host', () => {
  test('that is written as an address is refused before anything is sent', () => {
    expect(() => guardOf().assertLiteral('[::1]')).toThrow('SourceAddressRefused: ::1');
    expect(() => guardOf().assertLiteral('127.0.0.1')).toThrow('SourceAddressRefused');
    expect(() => guardOf().assertLiteral('example.com')).not.toThrow();
  });

  test('that is a name stands for its allowed addresses only', async () => {
    const lookup = promisify(guardOf().lookup);
    await expect(lookup('localhost', { all: true })).rejects.toMatchObject({
      code: 'SourceAddressRefused',
      detail: expect.stringMatching(/^localhost is .*127\.0\.0\.1|::1/),
    });
    const allowing = promisify(guardOf('127.0.0.1').lookup);
    expect(await allowing('localhost', { all: true, family: 4 })).toEqual([{ address: '127.0.0.1', family: 4 }]);
    expect(await allowing('localhost', { family: 4 })).toBe('127.0.0.1');
  });
});
