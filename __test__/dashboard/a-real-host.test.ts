import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRuntime } from '@absolutejs/runtime';
import { createControl } from '@absolutejs/runtime/control';
import { createGateway } from '@absolutejs/runtime/gateway';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { Tenants } from '../support/processes/tenants.ts';

closeAfterwards();

const HELLO = `
console.log('\\u001b[31m<b>hello</b>\\u001b[0m');
Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response('hello') });
`;

test('tenants of a real host are started, seen, stopped and explained', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'dashboard-'));
  await using tenants = new Tenants();
  tenants.add('hello', { 'server.ts': HELLO });
  tenants.add('broken', { 'server.ts': `console.error('no <i>database</i>'); process.exit(3);` });
  await using runtime = createRuntime({ source: tenants.source, backoff: { baseMs: 60_000 } });
  const route = { by: 'path' } as const;
  const gateway = createGateway({ runtime, route, listen: { port: 0 } });
  const path = join(directory, 'control.sock');
  const name = 'a real host';
  const control = createControl({ runtime, gateway, path, name, dashboard: { port: 0 } });
  const { dashboardUrl = '' } = await control.listening;
  await using visitor = await visit(dashboardUrl);
  const { page } = visitor;
  expect(page.url()).not.toContain('token');
  await page.getByRole('banner').getByText(name).waitFor();

  // What is the page's alone is so of the API's answers, too.
  const { headers } = await fetch(new URL('/tenants', dashboardUrl));
  expect(headers.get('content-security-policy')).toStartWith("default-src 'none'");
  expect(headers.get('x-content-type-options')).toBe('nosniff');

  await page.getByRole('link', { name: 'hello' }).click();
  await page.getByText('Stopped, never started').waitFor();
  await act('Start');
  await page.getByRole('status').getByText('hello: Running').waitFor();
  await page.getByRole('log').getByText('<b>hello</b>').waitFor();
  await page.locator('.events').getByText('started as process').waitFor();
  const [place] = await gateway.listening;
  expect(await (await fetch(new URL('/hello/', place?.url))).text()).toBe('hello');
  await page.getByText('All fields').click();
  await page.getByText(/"key": "hello",/).waitFor();
  tenants.write('hello/server.ts', `console.error('no <i>table</i>'); process.exit(4);`);
  await ask('Replace');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('alert').getByText('no <i>table</i>').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: /could not be replaced: exited with code 4/ }).waitFor();
  await page.locator('.failure pre').getByText('no <i>table</i>').waitFor();
  await page
    .locator('.events .bad')
    .getByText(/could not be replaced.* goes on/)
    .waitFor();
  tenants.write('hello/server.ts', HELLO);
  await act('Replace');
  await page.locator('.failure').waitFor({ state: 'hidden' });
  await act('Stop');
  await page.locator('.how').getByText('Stopped, until the next request').waitFor();

  await page.goto(new URL('/#/tenants/broken', dashboardUrl).href);
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await dialog.getByRole('button', { name: 'Start' }).click();
  await dialog.getByRole('alert').getByText('no <i>database</i>').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('.failure pre').getByText('no <i>database</i>').waitFor();
  await page.getByText(/Backing off, starts are refused/).waitFor();
  await act('Clear back-off');
  await page.getByRole('status').getByText('broken: Failed').waitFor();
  expect(await page.locator('.actions button').allTextContents()).toEqual(['Start']);
  // The browser logs answers of 4xx.
  visitor.forgive();

  for (const view of ['#/', '#/events', '#/host']) {
    await page.goto(new URL(`/${view}`, dashboardUrl).href);
    await page.getByText('Live', { exact: true }).waitFor();
  }
  await runtime.dispose();
  await page.getByRole('alert').getByText(`${name} does not answer`).waitFor();
  visitor.forgive();
  rmSync(directory, { recursive: true });

  async function ask(action: string) {
    await page.getByRole('button', { name: action, exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: action, exact: true }).click();
  }

  async function act(action: string) {
    await ask(action);
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }
});
