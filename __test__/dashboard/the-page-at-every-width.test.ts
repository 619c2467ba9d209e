import type { Locator } from 'playwright-core';
import { expect, test } from 'bun:test';
import { closeAfterwards, go, visit, WIDTHS } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

/** As the browser has worked it out. */
const styleOf = (element: Locator, name: string): Promise<string> =>
  element.evaluate((it, property) => (globalThis as any).getComputedStyle(it)[property], name);

const views = ['#/', '#/tenants/birch-books', '#/tenants/amber-books', '#/events', '#/host'];

for (const width of WIDTHS) {
  for (const scheme of ['light', 'dark'] as const) {
    // `visit` fails the test if the browser has anything to say, as it does of its content policy.
    test(`at ${width} pixels, ${scheme}, nothing is cut off and the browser has no complaint`, async () => {
      await using house = await open({ tenants: 1000 });
      house.host.crash('amber-books');
      house.host.happen('amber-books', 'exit', 'crashed with exit code 1', { exitCode: 1 });
      house.host.say('birch-books', `GET /${'a-long-path/'.repeat(60)}`);
      await using visitor = await visit(house.link, { width, scheme });
      const { page } = visitor;
      for (const view of views) {
        await go(page, house.url + view);
        await page.getByText(/^Live\b/).waitFor();
        house.host.tick();
        const wide = await page.evaluate('document.documentElement.scrollWidth');
        expect([view, wide]).toEqual([view, width]);
      }
    });
  }
}

for (const width of WIDTHS) {
  test(`at ${width} pixels the head of the table has the corners of the table`, async () => {
    await using house = await open();
    await using visitor = await visit(house.url, { width });
    const table = visitor.page.getByRole('table');
    await table.locator('tbody a').first().waitFor();
    const heads = table.locator('thead th').filter({ visible: true });
    for (const [head, side] of [
      [heads.first(), 'left'] as const,
      [heads.last(), 'right'] as const,
    ]) {
      const corner = `border-top-${side}-radius`;
      expect([side, await styleOf(head, corner)]).toEqual([side, await styleOf(table, corner)]);
    }
  });

  for (const scheme of ['light', 'dark'] as const) {
    test(`at ${width} pixels with the system's colours (${scheme}), what is chosen and where the focus is are seen`, async () => {
      await using house = await open();
      house.host.crash('amber-books');
      await using visitor = await visit(house.url, { width, scheme, forcedColors: 'active' });
      const { page } = visitor;
      const styleAt = (selector: string, name: string) =>
        styleOf(page.locator(selector).first(), name);
      await page.locator('tbody a').first().waitFor();
      const [chosen, other] = ['[aria-current]', ':not([aria-current])'].map((which) =>
        styleAt(`nav a${which}`, 'border-bottom-color'),
      );
      expect(await chosen).not.toBe(await other);
      expect(await other).toBe(await styleAt('body', 'background-color'));
      const filter = (which: string) =>
        styleAt(`.filters input${which} + span`, 'background-color');
      expect(await filter(':checked')).not.toBe(await filter(':not(:checked)'));
      expect(await styleAt('tbody a', 'outline-style')).toBe('none');
      await page.keyboard.press('ArrowDown');
      await page.locator('tbody a:focus-visible').waitFor();
      expect(await styleAt('tbody a:focus-visible', 'outline-style')).toBe('solid');
      if (width < 700) {
        expect(await styleAt('tr.bad.down td.memory', 'font-size')).toBe('0px');
      }
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    });
  }
}

test('without the token it fits a phone as well', async () => {
  await using house = await open();
  await using visitor = await visit(house.url, { width: 360 });
  await visitor.page.getByText('Live, read only').waitFor();
  expect(await visitor.page.evaluate('document.documentElement.scrollWidth')).toBe(360);
});

test('a thousand tenants are a few rows, and all of them can be reached', async () => {
  await using house = await open({ tenants: 1000 });
  await using visitor = await visit(house.url);
  const { page } = visitor;
  const rows = page.locator('tbody tr:not(.space)');
  await rows.first().waitFor();
  expect(await rows.count()).toBeLessThan(60);
  expect(await page.getByRole('table').getAttribute('aria-rowcount')).toBe('1001');
  await page.evaluate('scrollTo(0, document.body.scrollHeight)');
  await page.locator('tr[aria-rowindex="1001"]').waitFor();
  expect(await rows.count()).toBeLessThan(60);
  const shown = await rows.evaluateAll((all) =>
    all.map((row) => Number(row.getAttribute('aria-rowindex'))),
  );
  expect(shown).toEqual(shown.map((_, index) => (shown[0] ?? 0) + index));
});

test('problems come first, and a search or a filter finds the rest', async () => {
  await using house = await open({ tenants: 300 });
  house.host.crash('kestrel-yoga');
  house.host.starve('lumen-yoga');
  await using visitor = await visit(house.url);
  const { page } = visitor;
  const names = async () => page.locator('tbody a').allTextContents();
  await page.getByRole('link', { name: 'lumen-yoga', exact: true }).waitFor();
  expect((await names()).slice(0, 2)).toEqual(['lumen-yoga', 'kestrel-yoga']);
  await page.getByRole('searchbox').fill('yoga EMBER');
  await expectNames(['ember-yoga', 'ember-yoga-2']);
  await page.getByRole('searchbox').fill('');
  await page.getByRole('radio', { name: /Problems/ }).check();
  await expectNames(['lumen-yoga', 'kestrel-yoga']);
  await page.getByRole('button', { name: 'Tenant' }).click();
  await expectNames(['kestrel-yoga', 'lumen-yoga']);
  expect(await page.getByRole('columnheader', { name: 'Tenant' }).getAttribute('aria-sort')).toBe(
    'ascending',
  );

  async function expectNames(wanted: string[]) {
    await page.locator(`table[aria-rowcount="${wanted.length + 1}"]`).waitFor();
    expect(await names()).toEqual(wanted);
  }
});

test('names are in the order in which people count', async () => {
  const keys = ['shop-10', 'shop-9', 'shop-100', 'Shop-2'];
  await using house = await open({ tenants: 0, keys });
  await using visitor = await visit(house.url);
  const { page } = visitor;
  const names = page.locator('tbody a');
  await names.nth(3).waitFor();
  expect(await names.allTextContents()).toEqual(['Shop-2', 'shop-9', 'shop-10', 'shop-100']);
  const head = page.getByRole('columnheader', { name: 'Tenant' });
  await head.getByRole('button').click();
  await head.getByRole('button').click();
  expect(await names.allTextContents()).toEqual(['shop-100', 'shop-10', 'shop-9', 'Shop-2']);
});

test('the theme that was chosen stays', async () => {
  await using house = await open();
  await using visitor = await visit(house.url, { scheme: 'light' });
  const { page } = visitor;
  const paper = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
  const light = await paper();
  const button = page.getByRole('button', { name: /Theme/ });
  await button.click();
  await button.click();
  const dark = await paper();
  expect(dark).not.toBe(light);
  await page.reload();
  expect(await paper()).toBe(dark);
});
