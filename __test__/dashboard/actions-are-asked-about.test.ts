import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

test('who has no token is offered nothing, and told why', async () => {
  await using house = await open({ tenants: 3 });
  await using visitor = await visit(`${house.url}#/tenants/amber-books`);
  const { page } = visitor;
  await page.getByText('Read only: actions take the token').waitFor();
  await page.getByText('Live, read only').waitFor();
  expect(await page.locator('.actions button').count()).toBe(0);
});

test('each state has its actions, and each says what it will do', async () => {
  await using house = await open({ tenants: 12 });
  const { host } = house;
  await using visitor = await visit(house.link);
  const { page } = visitor;
  expect(page.url()).toBe(house.url);
  const buttons = page.locator('.actions button');
  const offered = async (key: string) => {
    await page.goto(`${house.url}#/tenants/${key}`);
    await page.getByRole('heading', { name: key }).waitFor();
    await buttons.first().waitFor();
    return buttons.allTextContents();
  };
  expect(await offered('amber-books')).toEqual(['Replace', 'Restart', 'Stop']);
  expect(await offered('cedar-books')).toEqual(['Start']);
  host.put('elm-books', {
    ...host.tenants.get('amber-books'),
    ...{ key: 'elm-books', state: 'asleep', depth: 'paged-out', rank: 3 },
    problem: { code: 'REPLACE_FAILED', summary: 'could not', advice: '', lines: [], at: 0 },
  });
  expect(await offered('elm-books')).toEqual(['Wake', 'Replace', 'Restart', 'Stop']);
  await page.getByText('Asleep, paged out, until it is used again').waitFor();
  // It serves all the same.
  await page.locator('.failure.warned').waitFor();
  host.crash('delta-books');
  expect(await offered('delta-books')).toEqual(['Restart', 'Clear back-off']);
  await page.getByText('crashed 4 times, last with exit code 1').first().waitFor();
  await page.getByText('Cannot find module').waitFor();
  await page.getByRole('button', { name: 'Clear back-off' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Its failures are forgotten').waitFor();
  await dialog.getByRole('button', { name: 'Clear back-off' }).click();
  await page.getByRole('status').getByText('delta-books: Stopped').waitFor();
  await page.locator('.actions').getByRole('button', { name: 'Start' }).waitFor();
  expect(host.actions).toEqual([{ key: 'delta-books', action: 'clear' }]);
});

test('an action that fails says so where it was asked for', async () => {
  await using house = await open({ tenants: 0, keys: ['broken-shop'] });
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.goto(`${house.url}#/tenants/broken-shop`);
  await page.getByRole('button', { name: 'Replace' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Replace' }).click();
  await dialog.getByRole('alert').getByText('"broken-shop" exited with code 1').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  // The browser logs every answer of 4xx and 5xx.
  visitor.forgive();
});

test('a tenant whose directory is removed is no more', async () => {
  await using house = await open({ tenants: 3 });
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.getByRole('link', { name: 'birch-books' }).waitFor();
  house.host.remove('birch-books');
  await page.getByRole('link', { name: 'birch-books' }).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'amber-books' }).click();
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  house.host.remove('amber-books');
  await page.getByText('There is no tenant of this name here').waitFor();
  expect(await page.getByRole('button', { name: 'Stop' }).isVisible()).toBe(false);
});

test('a tenant that is not there is told so', async () => {
  await using house = await open({ tenants: 1 });
  await using visitor = await visit(`${house.url}#/tenants/nobody`);
  await visitor.page.getByText('There is no tenant of this name here').waitFor();
  visitor.forgive();
});
