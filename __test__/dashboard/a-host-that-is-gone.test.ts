import { expect, test } from 'bun:test';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

for (const view of ['#/', '#/tenants/amber-books', '#/events', '#/host']) {
  test(`a host that is gone is told at once, and so is its return (${view})`, async () => {
    await using house = await open({ tenants: 30 });
    await using visitor = await visit(house.link);
    const { page } = visitor;
    await page.goto(house.url + view);
    await page.getByText('Live', { exact: true }).waitFor();
    house.host.tick();
    await house.end();
    const alert = page.getByRole('alert');
    await alert.getByText('does not answer').waitFor();
    await alert.getByText(/What you see is from \d\d:\d\d:\d\d/).waitFor();
    await page.getByText('Host gone').waitFor();
    expect(await page.title()).toContain('gone');
    // Nothing looks alive: neither by its word, nor by its shape.
    expect(await page.locator('[data-state="running"], [data-state="live"]').count()).toBe(0);
    expect(await page.getByText('Running', { exact: true }).and(page.locator('td')).count()).toBe(
      0,
    );
    if (view.includes('amber')) {
      await page.getByText('Was running').waitFor();
      expect(await page.getByRole('button', { name: 'Restart' }).isDisabled()).toBe(true);
    }
    await house.comeBack();
    await page.getByText('Live', { exact: true }).waitFor();
    await alert.waitFor({ state: 'hidden' });
    if (view.includes('amber')) await page.getByRole('button', { name: 'Restart' }).waitFor();
    visitor.forgive();
  });
}

test('a host that says nothing is as good as gone', async () => {
  await using house = await open({ tenants: 5 });
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.getByText('Live').waitFor();
  // The connection is open, but nothing comes.
  await page.getByRole('alert').getByText('does not answer').waitFor({ timeout: 25_000 });
  house.host.tick();
  await page.getByRole('alert').waitFor({ state: 'hidden' });
});

test('the lines of a host that came back are told once', async () => {
  await using house = await open({ tenants: 3 });
  house.host.say('amber-books', 'said before');
  await using visitor = await visit(`${house.url}#/tenants/amber-books`);
  const { page } = visitor;
  const log = page.getByRole('log');
  await log.getByText('said before').waitFor();
  await house.end();
  await page.getByText('Host gone').waitFor();
  house.host.say('amber-books', 'said meanwhile');
  await house.comeBack();
  await log.getByText('said meanwhile').waitFor();
  expect(await log.getByText('said before').count()).toBe(1);
  visitor.forgive();
});
