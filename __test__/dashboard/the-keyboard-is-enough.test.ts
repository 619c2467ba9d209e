import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

const focused = 'document.activeElement.textContent || document.activeElement.ariaLabel';

test('a tenant is found, opened, restarted and left without a pointer', async () => {
  await using house = await open({ tenants: 200 });
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.locator('tbody a').first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('birch-cafe');
  await page.keyboard.press('ArrowDown');
  expect(await page.evaluate<string>(focused)).toBe('birch-cafe');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'birch-cafe' }).waitFor();
  expect(await page.evaluate<string>(focused)).toBe('birch-cafe');
  const restart = page.getByRole('button', { name: 'Restart' });
  await restart.focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Restart: birch-cafe?' });
  await dialog.waitFor();
  // Esc leaves it, and nothing was done.
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(house.host.actions).toEqual([]);
  expect(await page.evaluate<string>(focused)).toBe('Restart');
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('status').getByText('birch-cafe: Running').waitFor();
  expect(house.host.actions).toEqual([{ key: 'birch-cafe', action: 'restart' }]);
  await page.keyboard.press('Escape');
  await page.getByRole('table').waitFor();
  expect(await page.evaluate<string>(focused)).toBe('birch-cafe');
});

test('arrows walk through rows that did not exist yet', async () => {
  await using house = await open({ tenants: 300 });
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.locator('tbody a').first().waitFor();
  for (let row = 0; row < 60; row += 1) await page.keyboard.press('ArrowDown');
  const at = page.locator('tr:has(a:focus)');
  expect(await at.getAttribute('aria-rowindex')).toBe('61');
  expect(await at.locator('a').isVisible()).toBe(true);
  const box = await at.boundingBox();
  expect(box?.y).toBeWithin(0, 800 - (box?.height ?? 0) + 1);
  for (let row = 0; row < 59; row += 1) await page.keyboard.press('ArrowUp');
  expect(await at.getAttribute('aria-rowindex')).toBe('2');
});

test('focus stays with its tenant while figures change and the order does', async () => {
  await using house = await open({ tenants: 60 });
  const { host } = house;
  await using visitor = await visit(house.url);
  const { page } = visitor;
  const link = page.getByRole('link', { name: 'ember-books', exact: true });
  await link.focus();
  const before = await page.locator('tr:has(a:focus)').getAttribute('aria-rowindex');
  host.crash('birch-books');
  host.put('aaa-new', { ...host.tenants.get('ember-books'), key: 'aaa-new' });
  await page.getByRole('link', { name: 'aaa-new' }).waitFor();
  host.tick();
  expect(await page.evaluate<string>(focused)).toBe('ember-books');
  // A tenant that is new moves those below it, and focus goes with its own.
  expect(await page.locator('tr:has(a:focus)').getAttribute('aria-rowindex')).not.toBe(before);
});

test('a new problem comes first, also while the keyboard is in the table', async () => {
  await using house = await open({ tenants: 60 });
  const { host } = house;
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.clock.install();
  await page.reload();
  await page.getByRole('link', { name: 'ember-books', exact: true }).focus();
  host.crash('kestrel-cafe');
  await page.getByRole('radio', { name: 'Problems 1' }).waitFor();
  const first = () => page.locator('tbody a').first().textContent();
  // Not while a row is about to be used.
  expect(await first()).not.toBe('kestrel-cafe');
  await page.clock.fastForward(3_000);
  host.tick();
  await page.locator('tr[aria-rowindex="2"]').getByText('kestrel-cafe').waitFor();
  expect(await page.evaluate<string>(focused)).toBe('ember-books');
});

test('a question mark tells the keys, and Esc closes it', async () => {
  await using house = await open();
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keyboard' });
  await help.waitFor();
  for (const key of ['/', 'Enter', 'Esc']) await help.getByText(key, { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await help.waitFor({ state: 'detached' });
  // In a search it is a letter.
  await page.keyboard.press('/');
  await page.keyboard.type('a?');
  expect(await page.getByRole('searchbox').inputValue()).toBe('a?');
  await page.keyboard.press('Escape');
  expect(await page.getByRole('searchbox').inputValue()).toBe('');
});
