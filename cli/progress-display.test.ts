import { expect, test } from 'vitest';
import { describeSeconds, drawLine, ProgressDisplay } from './progress-display.ts';

const half = { label: 'a/b', word: 'transfer', bytesDone: 512 * 1024, bytesTotal: 1024 * 1024 };

function collect(isTTY: boolean) {
  const written: string[] = [];
  const display = new ProgressDisplay({ isTTY, columns: 80, write: (text: string) => written.push(text) });
  return { written, display };
}

test('off a terminal each tenth is one plain line', () => {
  const { written, display } = collect(false);
  for (const bytesDone of [0, 1, 2, 600 * 1024, 610 * 1024]) display.update({ ...half, bytesDone });
  expect(written).toEqual(['a/b: transfer 0 %, 0 B of 1.00 MiB\n', 'a/b: transfer 50 %, 600 KiB of 1.00 MiB\n']);
});

test('on a terminal one line is drawn again and removed at the end', () => {
  const { written, display } = collect(true);
  display.update(half);
  display.clear();
  expect(written).toEqual([
    expect.stringMatching(/^\r.*\[#{12}\.{12}\] +50% transfer, 512 KiB of 1.00 MiB$/),
    '\r\u001b[2K',
  ]);
});

test('the line fits into the terminal', () => {
  const long = { ...half, bytesPerSecond: 123_456_789, etaSeconds: 3_725, label: 'namespace/'.repeat(9) };
  expect(drawLine(long, 60)).toHaveLength(59);
});

test('an unknown total shows no share, a told percentage does', () => {
  expect(drawLine({ label: 'a/b', word: 'transfer', bytesDone: 5 }, 80)).toMatch(/\[\.{24}\] {6}transfer, 5 B$/);
  expect(drawLine({ label: 'a/b', word: 'convert', percent: 25 }, 80)).toContain(
    '[######..................]  25% convert',
  );
});

test('times read well', () => {
  expect([3, 65, 7_260, 200_000].map(describeSeconds)).toEqual(['3 s', '1 min 5 s', '2 h 1 min', '2 d']);
});
