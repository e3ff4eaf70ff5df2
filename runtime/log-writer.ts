// Writes the log of a process to a descriptor. A line is out before the next statement runs, so the last one is never lost; one that cannot be
// written (a full disk, a reader that went away) is dropped and counted, and never keeps anybody from working or from ending.
//
//   NAME.log     at most 16 MiB, then moved to
//   NAME.log.1   the 16 MiB before
import { copyFileSync, fstatSync, ftruncateSync, rmSync, statSync, writeSync } from 'node:fs';
import { metrics } from './metrics.ts';

/** A file of a log grows to about this size. */
export const largestLogBytes = 16 * 1024 * 1024;

export interface LogWriterOptions {
  /** Open for appending. */
  descriptor: number;
  /** The file behind the descriptor, if it is ours to keep small; left alone where the descriptor turns out to be something else. */
  path?: string;
  largestBytes?: number;
}

export class LogWriter {
  readonly #descriptor: number;
  readonly #path: string | undefined;
  readonly #largestBytes: number;
  #bytes = 0;
  /** The last line got out in part only: the next one must not continue it. */
  #isTorn = false;

  constructor(options: LogWriterOptions) {
    this.#descriptor = options.descriptor;
    this.#largestBytes = options.largestBytes ?? largestLogBytes;
    this.#path = options.path !== undefined && isSameFile(options.descriptor, options.path) ? options.path : undefined;
    if (this.#path !== undefined) this.#bytes = fstatSync(options.descriptor).size;
  }

  /** Never throws. */
  write(line: string): void {
    const bytes = Buffer.from(this.#isTorn ? `\n${line}` : line, 'utf8');
    let written = 0;
    try {
      if (this.#path !== undefined && this.#bytes + bytes.byteLength > this.#largestBytes) this.#startOver(this.#path);
      while (written < bytes.byteLength) written += writeSync(this.#descriptor, bytes, written);
      this.#isTorn = false;
    } catch {
      // There is no other place to tell it: the metric does.
      metrics.count('longshore_log_lines_dropped_total', {});
      this.#isTorn ||= written > 0;
    }
    this.#bytes += written;
  }

  /**
   * Copies and empties instead of renaming: the descriptor stays the one that also the runtime writes its last words to, and which cannot be exchanged.
   * Where there is no room for the copy the old lines go: what happens now matters more.
   */
  #startOver(path: string): void {
    try {
      rmSync(`${path}.1`, { force: true });
      copyFileSync(path, `${path}.1`);
    } catch {
      metrics.count('longshore_log_lines_dropped_total', {});
    }
    ftruncateSync(this.#descriptor, 0);
    this.#bytes = 0;
  }
}

function isSameFile(descriptor: number, path: string): boolean {
  try {
    const [open, named] = [fstatSync(descriptor), statSync(path)];
    return open.isFile() && open.dev === named.dev && open.ino === named.ino;
  } catch {
    return false; // no such file: the log goes to somewhere else, which is not ours to keep small
  }
}
