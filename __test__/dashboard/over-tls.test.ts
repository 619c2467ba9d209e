import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, test } from 'bun:test';
import { createDashboard } from '../../lib/dashboard/server.js';
import { closeAfterwards, visit } from '../support/dashboard/browser.ts';
import { open } from '../support/dashboard/house.ts';

closeAfterwards();

const pem = (name: string) =>
  readFileSync(new URL(`../support/gateway/tls/${name}.pem`, import.meta.url), 'utf8');
const tls = { cert: pem('first'), key: pem('first-key') };

test('the link is https, its cookie goes over TLS alone, and the page is live and acts', async () => {
  await using house = await open({ tenants: 3, dashboard: { tls } });
  expect(house.link).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/\?token=/);
  await using visitor = await visit(house.link);
  const { page } = visitor;
  await page.getByText('Live', { exact: true }).waitFor();
  expect(page.url()).toBe(house.url);
  const cookies = await page.context().cookies();
  expect(cookies).toMatchObject([{ secure: true, httpOnly: true, sameSite: 'Strict', path: '/' }]);
  await page.getByRole('link', { name: 'amber-books' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
  await page.getByText('Stopped, until the next request', { exact: true }).waitFor();
  expect(house.host.actions).toEqual([{ key: 'amber-books', action: 'stop' }]);
});

test('without TLS nothing is answered there', async () => {
  await using house = await open({ tenants: 1, dashboard: { tls } });
  const { port } = new URL(house.url);
  const { promise, resolve } = Promise.withResolvers<string>();
  let heard = '';
  const socket = connect(Number(port), '127.0.0.1', () =>
    socket.write(`GET /?token=${house.token} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`),
  );
  socket.on('data', (data) => void (heard += data));
  socket.on('error', () => {});
  socket.on('close', () => resolve(heard));
  expect(await promise).not.toContain('HTTP/1.1');
});

test('a certificate that is none, or has another key, is refused by name', () => {
  const api = () => {};
  for (const wrong of [
    { cert: 'x', key: 'y' },
    { ...tls, key: pem('second-key') },
  ]) {
    const create = () => createDashboard({ port: 0, tls: wrong }, api);
    expect(create).toThrow(/dashboard\.tls is no certificate with its key: /);
  }
});
