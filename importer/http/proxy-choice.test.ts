import { describe, expect, test } from 'vitest';
import { chooseProxy } from './proxy-choice.ts';

const proxies = { http: 'http://proxy:3128', https: 'secure-proxy:3129' };

function choose(url: string, no?: string): string | undefined {
  return chooseProxy(new URL(url), no === undefined ? proxies : { ...proxies, no });
}

describe('the proxy', () => {
  test('goes by the scheme of the source', () => {
    expect(choose('http://a.example/x')).toBe('http://proxy:3128');
    expect(choose('https://a.example/x')).toBe('http://secure-proxy:3129');
    expect(chooseProxy(new URL('http://a.example'), undefined)).toBeUndefined();
  });

  const exempt: [url: string, no: string][] = [
    ['http://a.example/', '*'],
    ['http://a.example/', 'other, a.example'],
    ['http://b.a.example/', 'a.example'],
    ['http://b.a.example/', '.a.example'],
    ['http://a.example:8080/', 'a.example:8080'],
    ['https://a.example/', 'a.example:443'],
    ['http://10.1.2.3/', '10.0.0.0/8'],
    ['http://127.0.0.1:81/', '127.0.0.1'],
    ['http://[::1]/', '::1'],
  ];
  test.each(exempt)('%s is reached directly with %s', (url, no) => expect(choose(url, no)).toBeUndefined());

  const proxied: [url: string, no: string][] = [
    ['http://nota.example/', 'a.example'],
    ['http://a.example:8080/', 'a.example:80'],
    ['http://11.1.2.3/', '10.0.0.0/8'],
    ['http://a.example/', '10.0.0.0/8'],
  ];
  test.each(proxied)('%s goes through the proxy with %s', (url, no) => expect(choose(url, no)).toBeDefined());
});
