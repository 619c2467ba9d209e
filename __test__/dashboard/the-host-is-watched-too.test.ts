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
