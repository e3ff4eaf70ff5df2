// The container image as it is shipped: small, without what an attacker or a scanner would look for, complete, and running as nobody special.

import { join } from 'node:path';
import { getuid } from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { machineUser } from '../../runtime/limited-child.ts';
import { programNames, systemSearchPath } from '../../runtime/programs.ts';
import { runCommand } from '../../scripts/image/run-command.ts';
import { repository } from '../../scripts/run-service.ts';
import { buildPrograms, missingLibraries, privilegedFiles, tracesOf } from './image-checks.ts';
import { type UnpackedImage, unpackedImage } from './unpacked-image.ts';

const home = '/opt/longshore';
const user = `${machineUser.uid}:${machineUser.gid}`;
let image: UnpackedImage;

beforeAll(async () => {
  image = await unpackedImage();
});

afterAll(() => image?.remove());

test('it has at most 150 MiB to pull', () => {
  expect(image.sizeBytes).toBeLessThanOrEqual(150 * 1024 * 1024);
});

test('no file has the set-user-id or set-group-id bit', async () => {
  expect(await privilegedFiles(image.root)).toEqual([]);
});

test('it has no package manager and no compiler', async () => {
  expect(await buildPrograms(image.root)).toEqual([]);
});

test('it does not tell where it was built', async () => {
  const words = [join(repository, 'node_modules'), join(repository, 'build')];
  expect(await tracesOf(words, image.root, ['etc', 'opt', 'var'])).toEqual([]);
});

test('its settings and the product do not tell where its packages came from', async () => {
  const hosts = await hostsOfThisBuild();
  expect(hosts).not.toEqual([]);
  expect(await tracesOf(hosts, image.root, ['etc', 'opt/longshore/bin', 'opt/longshore/dist', 'var'])).toEqual([]);
});

test('every program and library finds the libraries that it is linked to', async () => {
  expect(await missingLibraries(image.root)).toEqual([]);
});

test('it runs the launcher as the user of virtual machines, who owns the data directory and nothing else', () => {
  expect(image.config).toMatchObject({ User: '107:107', Entrypoint: ['/usr/bin/longshore'] });
  const others = image.listing.filter((line) => line.split(/\s+/)[1] !== '0/0');
  expect(others).toEqual([expect.stringMatching(/^drwxr-xr-x 107\/107 .* var\/lib\/longshore\/$/)]);
});

describe.skipIf(getuid?.() !== 0)(`in it, as user ${user}`, () => {
  const node = `${home}/node_modules/node-linux-${process.arch}/bin/node`;

  /** With the image's environment and nothing of ours. */
  function inside(...command: readonly string[]): Promise<string> {
    return runCommand('env', ['-i', ...image.config.Env, 'chroot', `--userspec=${user}`, image.root, ...command]);
  }

  test('longshore tells its version and its commands', async () => {
    const { version } = JSON.parse(await inside('cat', `${home}/package.json`));
    expect(await inside('longshore', '--version')).toBe(`${version}\n`);
    expect(await inside('longshore', '--help')).toMatch(/^Usage: longshore /);
  });

  test('Node looks for the CAs of the system, finds none, and has nothing to say about it', async () => {
    const script = "process.stdout.write(String(require('node:tls').getCACertificates('system').length))";
    expect(await inside('sh', '-c', 'exec "$0" --eval "$1" 2>&1', node, script)).toBe('0');
  });

  test('qemu-img runs', async () => {
    expect(await inside('qemu-img', '--version')).toMatch(/^qemu-img version /);
  });

  test('each program that Longshore runs is on its search path', async () => {
    const found = await inside(
      'sh',
      '-c',
      'for name; do command -v "$name" >&2 || echo "$name"; done',
      'sh',
      ...programNames(),
    );
    expect(image.config.Env).toContain(`PATH=${systemSearchPath}`);
    expect(found).toBe('');
  });

  test('the native zstd binding packs and unpacks', async () => {
    const script = `const { compress, decompress } = require('${home}/node_modules/zstd-napi');
      process.stdout.write(decompress(compress(Buffer.from('as it was'))));`;
    expect(await inside(node, '--eval', script)).toBe('as it was');
  });
});

/** Where this machine gets Debian's and npm's packages, directly or by a proxy. */
async function hostsOfThisBuild(): Promise<string[]> {
  const texts = await Promise.all([
    runCommand('apt-get', ['indextargets', '--format', '$(SITE)']),
    runCommand('apt-config', ['dump', '--format', '%v%n', 'Acquire']),
    runCommand('npm', ['config', 'get', 'registry'], repository),
  ]);
  const addresses = texts.join('\n').match(/https?:\/\/\S+/g) ?? [];
  const hosts = addresses.map((address) => new URL(address).hostname);
  return [...new Set(hosts)].filter((host) => !/^(localhost|127\..*|\[::1\])$/.test(host));
}
