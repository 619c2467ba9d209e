import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

test('lines that are read and a value that is selected stay while figures and times change', async () => {
  await using house = await open({ tenants: 3 });
  const { host } = house;
  const tenant = host.tenants.get('amber-books');
  const lines = ['one', 'two'];
  const problem = { code: 'CRASHED', summary: 'crashed', advice: 'See.', lines, at: Date.now() };
  host.put('amber-books', { ...tenant, problem, lastTouchedAt: Date.now() });
  await using visitor = await visit(`${house.url}#/tenants/amber-books`);
  const { page } = visitor;
  await page.clock.install();
  await page.reload();
  const pre = page.locator('.failure pre');
  await pre.focus();
  const { pid } = tenant;
  await page.getByRole('definition').getByText(`${pid}`, { exact: true }).selectText();
  await pre.focus();
  const note = page.locator('.failure .note');
  const before = await note.textContent();
  await page.clock.fastForward(5_000);
  host.tick();
  expect(await note.textContent()).not.toBe(before);
  expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('one\ntwo');
  expect(await page.evaluate<string>('`${getSelection()}`')).toBe(`${pid}`);
});

test('a value that is selected on the page of the host stays', async () => {
  await using house = await open({ tenants: 3 });
  await using visitor = await visit(`${house.url}#/host`);
  const { page } = visitor;
  const path = page.getByRole('definition').getByText('/srv/tenants');
  await path.selectText();
  const started = page.getByRole('definition').getByText(/ago$/);
  const connections = page.getByRole('definition').getByText('214', { exact: true });
  await connections.waitFor();
  house.host.is.connections = 215;
  house.host.tick();
  await page.getByRole('definition').getByText('215', { exact: true }).waitFor();
  expect(await started.count()).toBe(1);
  expect(await page.evaluate<string>('`${getSelection()}`')).toBe('/srv/tenants');
});
