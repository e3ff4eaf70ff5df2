import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { blockBytes, hashBlock, TreeHasher } from '../domain/digest.ts';
import { buildProgram, runProgram } from './program.ts';

let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-cli-'));
});

afterEach(() => rm(directory, { recursive: true }));

class Collected {
  text = '';
  write(text: string): void {
    this.text += text;
  }
}

function ioFor(input = '') {
  const [stdout, stderr] = [new Collected(), new Collected()];
  return {
    stdin: Readable.from([Buffer.from(input)]),
    stdout,
    stderr,
    dataDirectory: directory,
    version: '1.2.3',
    signal: new AbortController().signal,
  };
}

async function run(...words: string[]) {
  const io = ioFor();
  const exitCode = await runProgram(io, words);
  return { exitCode, stdout: io.stdout.text, stderr: io.stderr.text };
}

describe('wrong usage', () => {
  test.each([
    [['import', 'ftp://host/disk', 'a/b', '--size', '1Gi'], 'expected http:, https:'],
    [['import', 's3:disk', 'a/b', '--size', '1Gi'], 'expected http:, https:'],
    [['import', 'gs://b/o', 'a/b', '--as', 's3'], '--as s3: gs://b/o is of the kind gcs'],
    [['import', 'gs://b/o', 'a/b', '--ca', 'x'], '--ca is not for a source of the kind gcs'],
    [['import', 's3://b/o', 'a/b', '--header', 'X: y'], '--header is not for a source of the kind s3'],
    [['credentials', 'a/b'], 'either --user NAME or --service-account'],
    [['credentials', 'a/b', '--user', 'me'], 'standard input is empty'],
    [['certificates', 'a/b'], 'standard input is empty'],
    [['import', 'http://host/disk', 'a/..', '--size', '1Gi'], 'RFC 1123'],
    [['import', 'http://host/disk', 'a/b/c', '--size', '1Gi'], 'NAMESPACE/NAME'],
    [['import', 'http://host/disk', 'a/b', '--size', 'much'], 'expected a size'],
    [['blank', 'a/b'], '--size'],
    [['import', 'http://host/disk', 'a/b', '--size', '1Gi', '--checksum', 'crc32:00'], 'unsupported hash algorithm'],
    [['user', 'add', 'somebody', '--role', 'king'], 'admin, edit, view'],
    [['get', '-o', 'xml'], 'json, yaml, wide'],
    [['get', '-n', 'Not_One'], 'RFC 1123'],
    [['digest', '/no/such/file'], 'no file and no NAMESPACE/NAME'],
    [['fly'], "unknown command 'fly'"],
    [['worker', '--foo'], "unknown option '--foo'"],
    [['api', 'now'], 'too many arguments'],
    [['cluster', 'worker', '--help-me'], "unknown option '--help-me'"],
    [['cluster', 'redis'], "unknown command 'redis'"],
    [['--data', '/elsewhere', 'worker'], 'settings come from the environment'],
  ])('%j is told and ends with 2', async (words, said) => {
    const { exitCode, stderr, stdout } = await run(...words);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(said);
    expect(stdout).toBe('');
  });
});

describe('without a service', () => {
  test('the fault tells sentence, detail and next step, and its exit code', async () => {
    const { exitCode, stderr, stdout } = await run('get');
    expect(exitCode).toBe(9);
    expect(stderr.split('\n')).toEqual([
      'ServiceUnreachable: No running service was found.',
      `  there is no ${directory}/kubeconfig`,
      expect.stringContaining('longshore up'),
      '',
    ]);
    expect(stdout).toBe('');
  });

  test('--data is taken before what the environment says', async () => {
    const { stderr } = await run('--data', '/elsewhere', 'get');
    expect(stderr).toContain('there is no /elsewhere/kubeconfig');
  });

  test.each([['--help'], ['help'], ['help', 'import'], ['worker', '--help'], ['cluster', 'api', '--help']])(
    '%j %j %j ends with 0',
    async (...words) => {
      expect(await run(...words)).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining('Usage:') });
    },
  );

  test('help and version end with 0', async () => {
    expect(await run('--version')).toEqual({ exitCode: 0, stdout: '1.2.3\n', stderr: '' });
    const { exitCode, stdout } = await run('--help');
    expect(exitCode).toBe(0);
    for (const name of ['up', 'api', 'uploadproxy', 'worker', 'cluster', 'import', 'upload', 'doctor']) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
  });

  test('the file that is no kubeconfig is named', async () => {
    await writeFile(join(directory, 'kubeconfig'), 'clusters: []\n');
    const { exitCode, stderr } = await run('get');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('is no kubeconfig');
  });
});

describe('digest of a file', () => {
  test('agrees with the specification, also for a file that ends within a block', async () => {
    const content = Buffer.alloc(2 * blockBytes + 5);
    content.write('here', blockBytes + 7);
    content.write('end', 2 * blockBytes);
    const path = join(directory, 'disk.raw');
    await writeFile(path, content);
    const tree = new TreeHasher();
    for (let start = 0; start < content.length; start += blockBytes) {
      tree.addLeaf(hashBlock(content.subarray(start, start + blockBytes)));
    }
    const expected = tree.finish(content.length);
    expect((await run('digest', path)).stdout).toBe(`${expected}  ${path}\n`);
    const yaml: unknown = parse((await run('digest', path, '--sha256', '-o', 'yaml')).stdout);
    expect(yaml).toEqual({ contentDigest: expected, sha256: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('%s knows every command', async (shell) => {
    const { exitCode, stdout } = await run('completion', shell);
    expect(exitCode).toBe(0);
    for (const command of buildProgram(ioFor()).commands) expect(stdout).toContain(command.name());
  });
});
