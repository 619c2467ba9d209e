import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

test('files of output that cannot be written are told above the tenants, until they can', async () => {
  await using house = await open({ tenants: 3 });
  const files = { directory: '/var/log/apps', bytes: 1, maxBytes: 2, droppedLines: 3 };
  house.host.is.files = { ...files, isFailing: true };
  await using visitor = await visit(house.link);
  const problems = visitor.page.locator('.figure').first();
  await problems.getByText('files of output cannot be written').waitFor();
  expect(await problems.getAttribute('class')).toContain('bad');
  house.host.is.files = { ...files, isFailing: false };
  house.host.tick();
  await problems.getByText(/nothing is wrong|listed first below/).waitFor();
});

test('what the gateway refuses is told beside a tenant’s requests, while it does', async () => {
  await using house = await open({ tenants: 3 });
  const key = 'amber-books';
  await using visitor = await visit(`${house.url}#/tenants/${key}`);
  const fact = (name: string) => visitor.page.locator('.facts > div', { hasText: name });
  await fact('Requests so far').waitFor();
  expect(await fact('Refused by the gateway').count()).toBe(0);
  house.host.put(key, { ...house.host.tenants.get(key), refusedPerSecond: 0.05 });
  await fact('Refused by the gateway').waitFor();
  expect(await fact('Refused by the gateway').textContent()).toEndWith('3 in the last minute');
  house.host.put(key, { ...house.host.tenants.get(key), refusedPerSecond: 0 });
  await fact('Refused by the gateway').waitFor({ state: 'detached' });
});
