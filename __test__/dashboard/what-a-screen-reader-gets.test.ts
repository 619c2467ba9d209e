import { expect, test } from 'bun:test';
import { closeAfterwards, go, visit, WIDTHS } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

test('the list is a table with names, states and what is wrong', async () => {
  await using house = await open({ tenants: 6 });
  house.host.starve('delta-books');
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.getByRole('row', { name: /delta-books/ }).waitFor();
  const tree = await page.locator('body').ariaSnapshot();
  for (const part of [
    'banner',
    'navigation "Views"',
    'link "Tenants"',
    'main',
    'heading "Tenants" [level=1]',
    'search',
    'searchbox "Search tenants"',
    'group "Show"',
    'radio "All 6" [checked]',
    'radio "Problems 1"',
    'table "Tenants"',
    'columnheader "State"',
    'rowheader "delta-books ran out of its 512 MiB of memory"',
    'link "delta-books"',
    'cell "Failed"',
    'cell "Running"',
  ]) {
    expect(tree).toContain(part);
  }
  expect(await page.getByRole('columnheader', { name: 'State' }).getAttribute('aria-sort')).toBe(
    'ascending',
  );
});

test('a tenant is headings, figures with their values, a log and a list of events', async () => {
  await using house = await open({ tenants: 6 });
  house.host.happen('amber-books', 'ready', 'is ready after 84 ms');
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.goto(`${house.url}#/tenants/amber-books`);
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  const tree = await page.locator('main').ariaSnapshot();
  for (const part of [
    'heading "amber-books" [level=1]',
    'heading "Over time" [level=2]',
    'img "Requests a second: now ',
    'img "Memory: now ',
    'log "Output"',
    'searchbox "Search output"',
    'heading "Timeline" [level=2]',
    'listitem',
    'heading "Limits and walls" [level=2]',
    'term: Memory',
    'definition: 512 MiB',
  ]) {
    expect(tree).toContain(part);
  }
});

test('everything that can be pressed has a name and is large enough to be hit', async () => {
  await using house = await open({ tenants: 30 });
  for (const width of WIDTHS) {
    await using visitor = await visit(house.link, { width });
    const { page } = visitor;
    for (const view of ['#/', '#/tenants/amber-books', '#/events', '#/host']) {
      await go(page, house.url + view);
      await page.getByText('Live', { exact: true }).waitFor();
      // The page is live and its controls come and go: each kind of look is a single one.
      const lines = (await page.locator('body').ariaSnapshot()).split('\n').map((l) => l.trim());
      const pressed = lines.filter((line) => PRESSED.test(line));
      expect(pressed.length).toBeGreaterThanOrEqual(5);
      expect([view, pressed.filter((line) => !NAMED.test(line))]).toEqual([view, []]);
      expect([view, await page.evaluate(SMALL)]).toEqual([view, []]);
    }
  }
});

/** A line of the accessible tree that is something to press or to write in. */
const PRESSED = /^- (button|link|textbox|searchbox|combobox|radio|checkbox|log)\b/;
const NAMED = /^- \w+ "[^"]+"/;

/** What can be pressed and has less than 24 pixels in a direction. */
const SMALL = `[...document.querySelectorAll('button, input, select, nav a, [tabindex="0"]')]
  .filter((control) => control.checkVisibility())
  .map((control) => [control, (control.closest('label') ?? control).getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.height, box.width) < 24)
  .map(([control]) => control.outerHTML.slice(0, 100))`;

test('text can be read in both schemes', async () => {
  await using house = await open({ tenants: 30 });
  house.host.crash('amber-books');
  for (const scheme of ['light', 'dark'] as const) {
    await using visitor = await visit(house.link, { scheme });
    const { page } = visitor;
    for (const view of ['#/', '#/tenants/amber-books', '#/host']) {
      await go(page, house.url + view);
      await page.getByText('Live', { exact: true }).waitFor();
      expect([scheme, view, await page.evaluate(CONTRASTS)]).toEqual([scheme, view, []]);
    }
  }
});

/** The texts on the page that have less than 4.5 of contrast with what is behind them. */
const CONTRASTS = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const behind = (node) => {
    if (node === null) return [255, 255, 255];
    const colour = rgba(getComputedStyle(node).backgroundColor);
    return colour[3] === 1 ? colour : over(colour, behind(node.parentElement));
  };
  const luminance = (rgb) => rgb
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (text === '' || !node.checkVisibility() || node.closest('noscript')) continue;
    const ground = behind(node);
    let opacity = 1;
    for (let each = node; each; each = each.parentElement) opacity *= getComputedStyle(each).opacity;
    const colour = rgba(getComputedStyle(node).color);
    const ink = over([...colour.slice(0, 3), colour[3] * opacity], ground);
    const [high, low] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(text.slice(0, 30) + ' ' + contrast.toFixed(2));
  }
  return [...new Set(found)];
})()`;
