import { Type } from 'typebox';
import { describe, expect, test } from 'vitest';
import { faultCatalogue } from '../domain/fault-catalogue.ts';
import { settings } from '../runtime/config.ts';
import { describeSchema } from './describe-schema.ts';
import { generatedPages } from './generated-pages.ts';

describe('the generated pages', () => {
  test('hold every fault and every setting', () => {
    const pages = generatedPages();
    for (const code of Object.keys(faultCatalogue)) expect(pages.get('errors.md')).toContain(`| \`${code}\` |`);
    for (const { variable } of Object.values(settings)) expect(pages.get('settings.md')).toContain(`\`${variable}\``);
    expect(pages.get('jobs.md')).toContain('`volume.claimFence`');
    expect(pages.get('metrics.md')).toContain('`longshore_attempts_total`');
  });

  test('are tables whose rows have as many cells as their heads', () => {
    for (const [name, content] of generatedPages()) {
      const counts = content
        .split(/\n(?!\|)/)
        .map((block) => block.split('\n').filter((line) => line.startsWith('|')))
        .filter((lines) => lines.length > 0)
        .map((lines) => new Set(lines.map((line) => line.replaceAll('\\|', '').split('|').length)).size);
      expect([name, new Set(counts)]).toEqual([name, new Set([1])]);
    }
  });
});

test('a schema is described in one line', () => {
  const named = Type.Object({ a: Type.Literal('x') });
  const schema = Type.Object({
    n: Type.Integer({ minimum: 1 }),
    list: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Null()]))),
    pair: Type.Tuple([Type.String(), Type.Boolean()]),
    named,
    anything: Type.Unknown(),
    empty: Type.Object({}),
  });
  expect(describeSchema(schema, new Map([[named, 'Named']]))).toBe(
    '{ n: integer ≥ 1, list?: (string | null)[], pair: [string, boolean], named: Named, anything: any, empty: {} }',
  );
  expect(describeSchema(named, new Map([[named, 'Named']]), true)).toBe('{ a: "x" }');
});
