import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

test('until its tenants are known nothing is counted, and nothing is said to be right', async () => {
  await using house = await open({ tenants: 6 });
  house.host.starve('delta-books');
  let release = () => {};
  house.host.is.held = new Promise((resolve) => (release = resolve));
  await using visitor = await visit(house.link);
  const { page } = visitor;
  // The host has been heard, so that only the tenants are missing.
  await page.getByText(/^Live\b/).waitFor();
  const shown = async () => ({
    figures: await page.locator('.figure strong').allTextContents(),
    notes: (await page.locator('.figure .note').allTextContents()).join(''),
    counts: (await page.locator('.filters b').allTextContents()).join(''),
    rows: await page.locator('tbody a').count(),
    isEmptyTold: await page.locator('.empty').isVisible(),
  });
  const nothing = {
    figures: Array(5).fill('–'),
    notes: '',
    counts: '',
    rows: 0,
    isEmptyTold: false,
  };
  expect(await shown()).toEqual(nothing);
  // What is searched for is shown at once, if there is something to show.
  const search = page.getByRole('searchbox', { name: 'Search tenants' });
  await search.fill('books');
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done)))');
  expect(await shown()).toEqual(nothing);
  await search.fill('');
  release();
  await page.getByRole('link', { name: 'delta-books', exact: true }).waitFor();
  const { figures, counts, rows } = await shown();
  expect([figures[0], counts, rows]).toEqual(['1', '613002', 6]);
});
