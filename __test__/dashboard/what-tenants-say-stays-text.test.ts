import { expect, test } from 'bun:test';
import { plain, spansOf } from '../../lib/dashboard/page/plain.js';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

const MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
const KEY = `a<b>&"'${encodeURIComponent('%2f')}/<svg onload=1>`;

test('markup in names, lines, problems and events is shown as it is spelt', async () => {
  await using house = await open({ tenants: 3, keys: [KEY], name: MARKUP });
  const { host } = house;
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.getByRole('link', { name: KEY }).click();
  await page.getByRole('heading', { name: KEY }).waitFor();
  host.say(KEY, MARKUP);
  await page.getByRole('log').getByText(MARKUP).waitFor();
  host.happen(KEY, 'exit', MARKUP, { reason: MARKUP });
  await page.locator('.events').getByText(MARKUP).waitFor();
  const problem = { code: MARKUP, summary: MARKUP, advice: MARKUP, lines: [MARKUP], at: 0 };
  host.put(KEY, { ...host.tenants.get(KEY), state: 'failed', rank: 0, problem });
  await page.locator('.failure pre').getByText(MARKUP).waitFor();
  await page.goto(`${house.url}#/events`);
  await page.locator('.events').getByText(MARKUP).waitFor();
  await page.goto(`${house.url}#/host`);
  await page.getByRole('definition').getByText(MARKUP).first().waitFor();
  await page.goto(house.url);
  await page.locator('.sub').getByText(MARKUP).waitFor();
  expect(await page.locator('img, main script, b > b').count()).toBe(0);
  expect(await page.title()).toContain('<img');
});

test('a name that leads elsewhere leads to its tenant', async () => {
  const keys = ['../../host', 'a/b', '%2e%2e', 'nested/?token=x#y', '\u202egnp.exe'];
  await using house = await open({ tenants: 0, keys: keys.filter((key) => key !== '../../host') });
  await using visitor = await visit(house.link);
  const { page } = visitor;
  for (const key of keys.slice(1)) {
    await page.goto(house.url);
    await page.getByRole('link', { name: plain(key), exact: true }).click();
    await page.getByRole('heading', { name: plain(key), exact: true }).waitFor();
    await page.getByRole('button', { name: 'Stop' }).waitFor();
  }
});

test('of escapes only colours and weights are left', () => {
  const text = (line: string) => spansOf(line).map(({ text }) => text);
  expect(spansOf('\u001b[1;31mred\u001b[0m plain')).toEqual([
    { text: 'red', classes: 'ansi-red ansi-bold' },
    { text: ' plain', classes: '' },
  ]);
  expect(spansOf('\u001b[38;5;31mof 256\u001b[39;4mline')).toEqual([
    { text: 'of 256', classes: '' },
    { text: 'line', classes: 'ansi-underline' },
  ]);
  // The title of the window, a link, the clipboard, the cursor, and an end that never comes.
  expect(text('\u001b]0;title\u0007a')).toEqual(['a']);
  expect(text('\u001b]8;;http://evil.example\u001b\\a\u001b]8;;\u001b\\')).toEqual(['a']);
  expect(text('\u001b]52;c;cm0gLXJm\u0007a\u001b[2Jb\u001b[10;10Hc')).toEqual(['a', 'b', 'c']);
  expect(text('a\u001b]0;never ends')).toEqual(['a']);
  expect(text('a\u001b')).toEqual(['a']);
  expect(text('\u009b31ma\u001bPq#0\u001b\\b')).toEqual(['a', 'b']);
  expect(spansOf('\u001b[31 q<b>').map(({ classes }) => classes)).toEqual(['']);
});

test('what cannot be seen is made visible', () => {
  expect(plain('a\u0000b\u0008c')).toBe('a␀b␈c');
  expect(plain('\u001b[31mred\u001b[0m')).toBe('red');
  expect(plain('evil\u202egnp.exe')).toBe('evil⟨U+202E⟩gnp.exe');
  expect(plain('zero\u200bwidth')).toBe('zero⟨U+200B⟩width');
  expect(plain('täglich 日本 👍')).toBe('täglich 日本 👍');
});

test('a line of a megabyte costs no more than a few thousand characters', () => {
  const spans = spansOf(`\u001b[31m${'x'.repeat(2 ** 20)}`);
  expect(spans.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThan(5_000);
  expect(spans.at(-1)?.text).toContain('characters more');
});
