// Lines of a child that may say anything: one without an end would else grow until memory is full.
import type { Readable } from 'node:stream';
import { Fault } from '../domain/fault.ts';

const longestLine = 4096;

/** Each line without its end; the last one may lack it. @throws Fault ConversionFailed where a line has more than 4096 bytes; the stream is closed then */
export async function* shortLines(output: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of output) {
    // As bytes: what is asked of a line is ASCII, and no character is cut in two.
    const lines = (rest + Buffer.from(chunk).toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of [...lines, rest]) {
      if (line.length > longestLine) throw new Fault('ConversionFailed', `a line has more than ${longestLine} bytes`);
    }
    yield* lines;
  }
  if (rest !== '') yield rest;
}
