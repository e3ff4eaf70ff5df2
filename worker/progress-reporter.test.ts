import { describe, expect, test } from 'vitest';
import type { Progress } from '../jobs/channel-protocol.ts';
import { ProgressReporter } from './progress-reporter.ts';

const key = { volumeId: 'pvc-1', attempt: 3 };

function reporter() {
  const sent: Progress[] = [];
  const steps: string[] = [];
  const clock = { now: 0 };
  const progress = new ProgressReporter(
    key,
    (told) => sent.push(told),
    (step) => steps.push(step),
    () => clock.now,
  );
  const report = (now: number, bytesDone: number, step: Progress['step'] = 'transfer') => {
    clock.now = now;
    progress.report({ step, bytesDone, bytesTotal: 10_000, bytesFetched: bytesDone });
  };
  return { sent, steps, progress, report };
}

describe('progress', () => {
  test('tells once when another step begins', () => {
    const { steps, report } = reporter();
    report(0, 0, 'probe');
    report(1, 5, 'transfer');
    report(2, 9, 'transfer');
    report(3, 9, 'verify');
    expect(steps).toEqual(['probe', 'transfer', 'verify']);
  });

  test('goes out twice a second at most', () => {
    const { sent, report } = reporter();
    for (let now = 0; now < 2_000; now += 50) report(now, now);
    expect(sent.length).toBeGreaterThanOrEqual(3);
    expect(sent.length).toBeLessThanOrEqual(4);
    expect(sent[0]).toMatchObject({ ...key, step: 'transfer', bytesDone: 0 });
  });

  test('tells rate and remaining time of the step', () => {
    const { sent, report } = reporter();
    report(0, 0);
    report(1_000, 1_000);
    expect(sent.at(-1)).toMatchObject({ bytesPerSecond: 1_000, etaSeconds: 9 });
    report(2_000, 10_000, 'verify');
    expect(sent.at(-1)?.etaSeconds).toBeUndefined();
  });

  test('keeps what was fetched, also between two messages', () => {
    const { progress, report } = reporter();
    report(0, 0);
    report(1, 77);
    expect(progress.bytesFetched).toBe(77);
  });
});
