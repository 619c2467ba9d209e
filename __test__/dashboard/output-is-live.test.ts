import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

const KEY = 'amber-books';

test('output is followed, paused, caught up with and searched', async () => {
  await using house = await open({ tenants: 3 });
  const { host } = house;
  for (let line = 0; line < 300; line += 1) host.say(KEY, `\u001b[32mline\u001b[0m ${line}`);
  await using visitor = await visit(`${house.url}#/tenants/${KEY}`);
  const { page } = visitor;
  const log = page.getByRole('log');
  await log.getByText('line 299').waitFor();
  expect(await log.locator('.ansi-green').first().textContent()).toBe('line');
  const distance = () => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
  expect(await distance()).toBeLessThan(24);
  await page.getByRole('button', { name: 'Pause' }).click();
  host.say(KEY, 'while paused');
  await page.getByText('1 new line').waitFor();
  expect(await log.getByText('while paused').count()).toBe(0);
  await page.getByRole('button', { name: 'Follow' }).click();
  await log.getByText('while paused').waitFor();
  // To scroll up is to pause.
  await log.evaluate((box) => box.scrollTo(0, 0));
  await page.getByRole('button', { name: 'Follow' }).waitFor();
  await page.getByRole('button', { name: 'Follow' }).click();
  const search = page.getByRole('searchbox', { name: 'Search output' });
  await search.fill('LINE 29');
  await page.getByText('11 of 301 lines').waitFor();
  expect(await log.locator('mark').first().textContent()).toBe('line 29');
  await search.fill('/line 2[0-4]$/');
  await page.getByText('5 of 301 lines').waitFor();
  await search.fill('/line (/');
  expect(await search.getAttribute('aria-invalid')).toBe('true');
  await search.fill('');
  host.say(KEY, 'it broke', 'stderr');
  await page.getByRole('combobox', { name: 'Which output' }).selectOption('stderr');
  await page.getByText('1 of 302 lines').waitFor();
});

test('a flood leaves the page usable, and keeps the last of it', async () => {
  await using house = await open({ tenants: 3 });
  const { host } = house;
  await using visitor = await visit(`${house.url}#/tenants/${KEY}`);
  const { page } = visitor;
  const log = page.getByRole('log');
  host.say(KEY, 'before');
  await log.getByText('before').waitFor();
  for (let line = 0; line < 30_000; line += 1) host.say(KEY, `flood ${line}`);
  host.say(KEY, 'after it all');
  await log.getByText('after it all').waitFor();
  expect(await log.locator(':scope > div').count()).toBeLessThanOrEqual(2_000);
  await page.getByRole('link', { name: 'Tenants', exact: true }).click();
  await page.getByRole('table').waitFor();
});

test('lines of another tenant are not among them', async () => {
  await using house = await open({ tenants: 3 });
  const { host } = house;
  await using visitor = await visit(`${house.url}#/tenants/${KEY}`);
  const { page } = visitor;
  await page.getByText('It has written nothing yet.').waitFor();
  host.say('birch-books', 'of another');
  host.say(KEY, 'of this one');
  await page.getByRole('log').getByText('of this one').waitFor();
  expect(await page.getByText('of another').count()).toBe(0);
});
