// What tenants write reaches terminals only as text: it neither steers them nor shifts tables.
import { expect, test } from 'bun:test';
import { asJson, clip, harmless, harmlessCell, width } from '../../lib/command/text.js';
import { plain, spansOf } from '../../lib/dashboard/page/plain.js';

test('escapes are shown and not sent; colours are left out', () => {
  expect(harmless('\x1b[31mred\x1b[0m')).toBe('red');
  expect(harmless('\x1b]0;title\x07')).toBe('␛]0;title␇');
  expect(harmless('\x1b[2J\x1b[H')).toBe('␛[2J␛[H');
  expect(harmless('a\rb\x08c\x7f')).toBe('a␍b␈c␡');
  expect(harmless('\x9b31m')).toBe('<U+009B>31m');
  expect(harmless('\u202egnp.exe')).toBe('<U+202E>gnp.exe');
});

test('no character of the control blocks is left', () => {
  const all = Array.from({ length: 0x2100 }, (_, code) => String.fromCharCode(code)).join('');
  // The tab is harmless in a line, and a blank in a cell.
  expect(harmless(all)).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e]/);
  expect(harmlessCell('a\tb')).toBe('a b');
});

test('JSON keeps what was said, and sends nothing of it raw', () => {
  const said = { line: 'a\x1b[31m\x7f\x9b1m\u202e\u2028"' };
  expect(JSON.parse(asJson(said))).toEqual(said);
  expect(asJson(said)).toMatch(/^[\x20-\x7e]*$/);
});

test('wide characters count two columns, marks none', () => {
  expect(width('abc')).toBe(3);
  expect(width('日本')).toBe(4);
  expect(width('🚀')).toBe(2);
  expect(width('e\u0301')).toBe(1);
  expect(width('é')).toBe(1);
});

test('a text is cut to its columns, not to its characters', () => {
  expect(clip('abcdef', 4)).toBe('abc…');
  expect(clip('日本語', 4)).toBe('日…');
  expect(width(clip('日本語', 5))).toBe(5);
  expect(clip('abc', 3)).toBe('abc');
  expect(clip('abc', 0)).toBe('');
});

/** No space, a soft hyphen, a joiner, a byte order mark, fillers, marks of direction, a tag. */
const UNSEEN = [0x200b, 0xad, 0x2060, 0xfeff, 0x3164, 0x115f, 0x202e, 0x2066, 0x200e, 0xe0041];

test('what is not seen is spelt out, alike in a terminal and on the page', () => {
  for (const code of UNSEEN) {
    const text = `sh${String.fromCodePoint(code)}op`;
    const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
    expect(harmless(text)).toBe(`sh<${name}>op`);
    expect(plain(text)).toBe(`sh\u27e8${name}\u27e9op`);
    expect(spansOf(text)[0]!.text).toBe(plain(text));
    expect(asJson(text)).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(asJson(text))).toBe(text);
  }
});

test('what is seen stays: letters of all kinds, emoji and their selectors', () => {
  for (const text of ['Größe', '日本', '❤️', '🚀', 'e\u0301', '\u0600\u0661']) {
    expect(harmless(text)).toBe(text);
    expect(plain(text)).toBe(text);
  }
});
