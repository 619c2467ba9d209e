import { expect, test } from 'bun:test';
import { closeAfterwards, go, visit, WIDTHS } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

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
        await page.getByText('Live').waitFor();
        house.host.tick();
        const wide = await page.evaluate('document.documentElement.scrollWidth');
        expect([view, wide]).toEqual([view, width]);
      }
    });
  }
}

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
