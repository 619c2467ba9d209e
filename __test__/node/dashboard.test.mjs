// The dashboard's server is JavaScript alone, and its HTTP is the engine's: here Node's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDashboard } from '../../lib/dashboard/server.js';
import { apiOf } from '../support/dashboard/made-up-api.mjs';
import { madeUpHost } from '../support/dashboard/made-up-host.mjs';

test('the page is served, actions take the token, and streams end with it', async () => {
  const host = madeUpHost({ tenants: 3 });
  const dashboard = createDashboard({ port: 0 }, apiOf(host));
  const { url, link } = await dashboard.listening;
  const page = await fetch(url);
  assert.match(await page.text(), /<title>Tenants<\/title>/);
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  const entered = await fetch(link, { redirect: 'manual' });
  assert.equal(entered.status, 303);
  const cookie = entered.headers.get('set-cookie')?.split('; ')[0] ?? '';
  const restart = `${url}tenants/amber-books/restart`;
  assert.equal((await fetch(restart, { method: 'POST' })).status, 403);
  assert.equal((await fetch(restart, { method: 'POST', headers: { cookie } })).status, 200);
  const stream = await fetch(`${url}tenants`, { headers: { accept: 'text/event-stream' } });
  const ended = assert.rejects(stream.text());
  await dashboard.close();
  await ended;
});

test('a port that is taken is told with its place', async () => {
  const first = createDashboard({ port: 0 }, () => {});
  const port = Number(new URL((await first.listening).url).port);
  const second = createDashboard({ port }, () => {});
  await assert.rejects(second.listening, (/** @type {any} */ error) => {
    assert.equal(error.code, 'ERR_RUNTIME_LISTEN');
    assert.equal(error.errno, 'EADDRINUSE');
    assert.match(error.message, new RegExp(`the dashboard cannot listen on 127.0.0.1:${port}`));
    return true;
  });
  await first.close();
  await second.close();
});

test('options are checked, and a token is not shown', () => {
  const wrong = (/** @type {any} */ options) => {
    try {
      createDashboard(options, () => {});
    } catch (error) {
      return /** @type {any} */ (error).message;
    }
    return undefined;
  };
  assert.match(wrong({}), /dashboard\.port must be a port, or 0 for any, got undefined/);
  assert.match(wrong({ port: 70_000 }), /dashboard\.port/);
  assert.match(
    wrong({ port: 0, prot: 1 }),
    /dashboard\.prot is not an option; did you mean dashboard\.port/,
  );
  assert.match(wrong({ port: 0, hostname: '' }), /dashboard\.hostname/);
  assert.match(wrong({ port: 0, names: ['a:80'] }), /dashboard\.names\[0\] must be a host name/);
  assert.match(wrong({ port: 0, tls: { cert: 'x', key: 'y' } }), /dashboard\.tls/);
  assert.doesNotMatch(wrong({ port: 0, token: 'secret!' }), /secret/);
});
