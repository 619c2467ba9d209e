import { expect, test } from 'bun:test';
import { patternOf } from '../../lib/control/pattern.js';

const found = (source: string, text: string) => patternOf(source)(text, { steps: 1e7 });

test('it finds what a regular expression finds', () => {
  const sources = [
    ...['abc', 'a.c', '^a', 'c$', '^$', 'a|b', 'a*b', 'a+b', 'a?b', '(ab)+c', '(?:a|b)*c', 'x{2}'],
    ...['x{2,}', 'x{1,3}y', '[abc]d', '[^abc]d', '[a-f0-9]+$', '\\d+\\.\\d', '\\bfoo\\b', '\\Bo'],
    ...[
      '\\w\\W\\w',
      '\\s+\\S',
      '[\\d-]x',
      'a{',
      'a{,2}',
      '\\x41',
      '\\u00fc',
      '(?<year>\\d{4})',
      '',
    ],
    ...['(a|)b', '((a*)*)*b', '[\\]]', '\\.', '.*', 'a.*?c', '(|a)+', '^(a|b)*$', '\\[x\\]', '[.]'],
  ];
  const texts = [
    ...['', 'a', 'abc', 'aXc', 'xxabc', 'b', 'aaab', 'ababc', 'xx', 'xxxy', 'dd', 'cd', 'beef01'],
    ...['3.14', 'a foo b', 'foobar', 'a-b', 'a  b', '-x', 'a{', 'a{,2}', 'A', 'ü', 'in 2026', ']'],
    ...['a.b', '[x]', 'a\nc', 'aaaaaaaaaaaac'],
  ];
  for (const source of sources) {
    for (const text of texts) {
      expect([source, text, found(source, text)]).toEqual([
        source,
        text,
        new RegExp(source).test(text),
      ]);
    }
  }
});

test('it ignores case when it is told to', () => {
  expect(found('(?i)error: ÄÖ', 'ERROR: äö')).toBe(true);
  expect(found('(?i)[a-c]+$', 'xxABC')).toBe(true);
  expect(found('(?i)[^a]', 'A')).toBe(false);
});

test('what would need more than its size is refused, and the place is named', () => {
  for (const source of [
    '(',
    ')',
    '*a',
    'a**',
    '[a',
    'a\\',
    '(?=a)',
    '(?<!a)b',
    '(a)\\1',
    'x{3,1}',
    '\\p{L}',
    '[z-a]',
  ]) {
    expect(() => patternOf(source)).toThrow(
      /^grep is not a pattern that can be looked for: .+ \(at character \d+\)$/,
    );
  }
  expect(() => patternOf('(a{100}){100}')).toThrow('it is too large');
  expect(() => patternOf('a'.repeat(501))).toThrow('500 characters');
});

test('the worst pattern over the worst line ends within its budget', () => {
  const budget = { steps: 1e7 };
  const worst = patternOf('(a|a?)+(a*)*b');
  expect(worst('a'.repeat(65_536), budget)).toBe(false);
  expect(budget.steps).toBeGreaterThan(0);
  while (budget.steps > 0) worst('a'.repeat(65_536), budget);
  const spent = { steps: 1_000 };
  expect(worst('a'.repeat(1e6), spent)).toBe(false);
  expect(spent.steps).toBeGreaterThan(-100);
});
