import { describe, expect, test } from 'vitest';
import { exitCodes, faultCatalogue } from './fault-catalogue.ts';

const rows = Object.entries(faultCatalogue);

describe('the fault catalogue', () => {
  test.each(rows)('tells of %s in whole sentences', (_code, row) => {
    for (const sentence of [row.sentence, row.nextStep]) {
      expect(sentence).toMatch(/^[A-Zq].*\.$/);
      expect(sentence.length).toBeLessThan(140);
      expect(sentence).not.toMatch(/ {2}|!/);
    }
  });

  test.each(rows)('has statuses for %s that boundaries may answer with', (_code, row) => {
    expect(row.http).toBeGreaterThanOrEqual(400);
    expect(row.http).toBeLessThan(600);
    expect(row.grpc).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
    expect(Object.values(exitCodes).map(({ code }) => code)).toContain(row.exit);
  });

  test('says of no two faults the same', () => {
    const sentences = rows.map(([, row]) => row.sentence);
    expect(new Set(sentences).size).toBe(sentences.length);
  });

  test('gives each group of faults an exit code of its own, none of them 0', () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes).not.toContain(0);
  });
});
