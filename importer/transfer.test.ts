// A disk that is given up is closed at the moment the transfer rejects, not some time after it.
import { readdirSync, readlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { ImportBench } from '../test/hostile/import-bench.ts';
import { SourceDigest } from './source-digest.ts';
import { StepTimer } from './step-timer.ts';
import { streamToDisk } from './transfer.ts';

function openFiles(below: string): string[] {
  const links = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return ''; // the descriptor of the directory that was read
    }
  });
  return links.filter((link) => link.startsWith(below));
}

test.each(['fails in the middle', 'is not begun after an abort'])(
  'a stream that %s leaves no open disk',
  async (how) => {
    await using undo = new AsyncDisposableStack();
    const bench = await ImportBench.make();
    undo.defer(() => bench.close());
    const staging = await bench.staging(4_194_304);
    undo.defer(() => staging.discard());
    const stop = new AbortController();
    if (how !== 'fails in the middle') stop.abort(new Fault('Cancelled', 'the test wants no more'));
    const hooks = bench.hooks(stop.signal);
    const pieces = async function* () {
      yield Buffer.alloc(2_097_152, 1);
      throw new Fault('SourceChanged', 'it changed');
    };
    const transfer = {
      probe: { format: 'raw' as const, compressions: [], virtualSizeBytes: undefined },
      target: { path: staging.diskPath, sizeBytes: 4_194_304, preallocation: false },
      staging,
      hooks,
      signal: stop.signal,
      timer: new StepTimer(hooks),
    };
    const source = { head: async () => Buffer.alloc(0), pieces, stream: pieces };
    const open = await streamToDisk(source, new SourceDigest(undefined), transfer).catch(() =>
      openFiles(staging.directory),
    );
    expect(open).toEqual([]);
  },
);
