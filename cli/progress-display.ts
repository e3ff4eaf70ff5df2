// Shows how far a transfer is: one line that is drawn again on a terminal, elsewhere a plain line at each tenth and each new word.
import { describeBytes } from '../domain/quantity.ts';
import type { Output } from './command-io.ts';

export interface ProgressView {
  label: string;
  /** Phase or step, in one word. */
  word: string;
  bytesDone?: number;
  bytesTotal?: number;
  bytesPerSecond?: number;
  etaSeconds?: number;
  /** Where the total is not known but a share is: 0 to 100. */
  percent?: number;
}

const barCells = 24;
const drawEveryMs = 100;

export class ProgressDisplay {
  readonly #output: Output;
  #drawn = false;
  #lastDrawMs = 0;
  #lastPlain = '';

  constructor(output: Output) {
    this.#output = output;
  }

  update(view: ProgressView): void {
    if (this.#output.isTTY === true) this.#updateBar(view);
    else this.#updatePlain(view);
  }

  #updateBar(view: ProgressView): void {
    const now = performance.now();
    if (now - this.#lastDrawMs < drawEveryMs && shareOf(view) !== 1) return;
    this.#lastDrawMs = now;
    this.#drawn = true;
    this.#output.write(`\r\u001b[2K${drawLine(view, this.#output.columns ?? 80)}`);
  }

  /** A sentence above the bar. */
  note(sentence: string): void {
    this.clear();
    this.#output.write(`${sentence}\n`);
  }

  /** Removes the bar; what is written next begins on a clean line. */
  clear(): void {
    if (this.#drawn) this.#output.write('\r\u001b[2K');
    this.#drawn = false;
  }

  #updatePlain(view: ProgressView): void {
    const share = shareOf(view);
    const tenth = share === undefined ? '' : `${Math.floor(share * 10) * 10} %`;
    const key = `${view.word} ${tenth}`.trim();
    if (key === this.#lastPlain) return;
    this.#lastPlain = key;
    this.#output.write(`${view.label}: ${key}${amounts(view)}\n`);
  }
}

function shareOf(view: ProgressView): number | undefined {
  if (view.bytesTotal !== undefined && view.bytesTotal > 0 && view.bytesDone !== undefined) {
    return Math.min(1, view.bytesDone / view.bytesTotal);
  }
  return view.percent === undefined ? undefined : Math.min(1, view.percent / 100);
}

function amounts(view: ProgressView): string {
  const parts: string[] = [];
  if (view.bytesDone !== undefined) {
    const total = view.bytesTotal === undefined ? '' : ` of ${describeBytes(view.bytesTotal)}`;
    parts.push(`${describeBytes(view.bytesDone)}${total}`);
  }
  if (view.bytesPerSecond !== undefined) parts.push(`${describeBytes(view.bytesPerSecond)}/s`);
  if (view.etaSeconds !== undefined) parts.push(`${describeSeconds(view.etaSeconds)} left`);
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`;
}

/** One line that fits into the terminal. */
export function drawLine(view: ProgressView, columns: number): string {
  const share = shareOf(view);
  const filled = share === undefined ? 0 : Math.round(share * barCells);
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(barCells - filled)}]`;
  const percent = share === undefined ? '    ' : `${Math.floor(share * 100)}%`.padStart(4);
  return `${view.label} ${bar} ${percent} ${view.word}${amounts(view)}`.slice(0, Math.max(20, columns - 1));
}

export function describeSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}
