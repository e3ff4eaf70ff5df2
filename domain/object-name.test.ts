import { describe, expect, test } from 'vitest';
import { checkName, nameProblem, namespaceProblem } from './object-name.ts';

describe('a name', () => {
  test.each(['a', 'my-vm.disk-0', '0', 'x'.repeat(253)])('may be %s', (name) => {
    expect(nameProblem(name)).toBeUndefined();
  });

  test.each(['', 'A', 'a_b', '-a', 'a-', 'a..b', '../etc', 'a/b', 'a b', 'ä', 'a\n'])('may not be %j', (name) => {
    expect(nameProblem(name)).toContain('RFC 1123 subdomain');
  });

  test('has a limit', () => {
    expect(nameProblem('x'.repeat(254))).toBe('must be no more than 253 characters');
    expect(namespaceProblem('x'.repeat(64))).toBe('must be no more than 63 characters');
  });

  test('of a namespace has no dots', () => {
    expect(namespaceProblem('team-a')).toBeUndefined();
    expect(namespaceProblem('team.a')).toContain('RFC 1123 label');
  });

  test('or generateName must be there', () => {
    const [cause] = checkName({});
    expect(`${cause?.field}: ${cause?.message}`).toBe(
      'metadata.name: Required value: name or generateName is required',
    );
    expect(checkName({ generateName: 'a-' })).toEqual([]);
    expect(checkName({ name: 'A' })[0]?.message).toMatch(/^Invalid value: "A": a lowercase RFC 1123 subdomain/);
  });
});
