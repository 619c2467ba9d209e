import { expect, test } from 'bun:test';
import { closeAfterwards, go, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';
import { until } from '../support/processes/until.ts';

closeAfterwards();

for (const view of ['#/', '#/tenants/amber-books', '#/events', '#/host']) {
  test(`a host that is gone is told at once, and so is its return (${view})`, async () => {
    await using house = await open({ tenants: 30 });
    await using visitor = await visit(house.link);
    const { page } = visitor;
    await go(page, house.url + view);
    await page.getByText(/^Live\b/).waitFor();
    if (view.includes('amber')) await page.getByRole('button', { name: 'Restart' }).waitFor();
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
    await page.getByText(/^Live\b/).waitFor();
    await alert.waitFor({ state: 'hidden' });
    if (view.includes('amber')) await page.getByRole('button', { name: 'Restart' }).waitFor();
    visitor.forgive();
  });
}

test('a host that says nothing is as good as gone', async () => {
  await using house = await open({ tenants: 5 });
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.clock.install();
  await page.reload();
  await page.getByText(/^Live\b/).waitFor();
  // The connection is open, but nothing comes.
  await page.clock.fastForward(11_000);
  await page.getByRole('alert').getByText('does not answer').waitFor();
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

test('a host that came back with another token is read only', async () => {
  await using house = await open({ tenants: 3 });
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.getByText(/^Live\b/).waitFor();
  await house.end();
  await page.getByText('Host gone').waitFor();
  await house.comeBack('another-token-of-it');
  await page.getByText('Live, read only').waitFor();
  visitor.forgive();
});

test('a host that has no stream to give says so', async () => {
  await using house = await open({ tenants: 3 });
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.getByText(/^Live\b/).waitFor();
  const error = { code: 'TOO_MANY_STREAMS', message: 'too many streams are open' };
  await page.route('**/tenants', (route) => route.fulfill({ status: 503, json: { error } }));
  await page.reload();
  await page.getByRole('alert').getByText('too many streams are open').waitFor();
  await page.unroute('**/tenants');
  await page.getByRole('alert').waitFor({ state: 'hidden' });
  visitor.forgive();
});

test('a host that is draining is told on every view', async () => {
  await using house = await open({ tenants: 3 });
  house.host.is.draining = true;
  await using visitor = await visit(`${house.url}#/tenants/amber-books`);
  await visitor.page.getByRole('alert').getByText('is draining').waitFor();
});

test('a page that nobody sees holds no stream, and is right again once it is seen', async () => {
  await using house = await open({ tenants: 3 });
  const { host } = house;
  await using visitor = await visit(house.url);
  const { page } = visitor;
  await page.clock.install();
  await page.reload();
  await page.getByRole('row', { name: /amber-books/ }).waitFor();
  await page.evaluate(become('true'));
  await page.clock.fastForward(11_000);
  await until('its streams have ended', () => host.listeners.size === 0);
  await page.clock.fastForward(60_000);
  host.crash('amber-books');
  expect(await page.getByRole('alert').isVisible()).toBe(false);
  await page.evaluate(become('false'));
  await page.getByRole('row', { name: /amber-books crashed 4 times/ }).waitFor();
});

const become = (hidden: string) => `
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${hidden} });
  document.dispatchEvent(new Event('visibilitychange'));`;
