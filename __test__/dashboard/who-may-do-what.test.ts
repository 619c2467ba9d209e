import { expect, test } from 'bun:test';
import { open } from '../support/dashboard/house.ts';

type House = Awaited<ReturnType<typeof open>>;

const cookieOf = async (house: House) => {
  const { headers } = await house.ask(`/?token=${house.token}`);
  return headers['set-cookie']?.[0] ?? '';
};
const restart = (house: House, headers: Record<string, string> = {}, body?: string) =>
  house.ask('/tenants/amber-books/restart', { method: 'POST', headers, body });
const bearer = ({ token }: House) => ({ authorization: `Bearer ${token}` });

test('without the token one may look at everything, and do nothing', async () => {
  await using house = await open();
  for (const path of ['/', '/host', '/tenants', '/tenants/amber-books', '/events']) {
    expect((await house.ask(path)).status).toBe(200);
  }
  expect(JSON.parse((await house.ask('/access')).text)).toEqual({ mayAct: false });
  const refused = await restart(house);
  expect(refused.status).toBe(403);
  expect(JSON.parse(refused.text).error).toMatchObject({ code: 'READ_ONLY' });
  expect(house.host.actions).toEqual([]);
});

test('a token has 256 bits, and is another one for each dashboard', async () => {
  await using house = await open();
  await using other = await open();
  expect(Buffer.from(house.token, 'base64url').length).toBe(32);
  expect(other.token).not.toBe(house.token);
});

test('the link sets a cookie that scripts and other sites do not get, and leaves the address', async () => {
  await using house = await open();
  const entered = await house.ask(`/?token=${house.token}`);
  expect(entered.status).toBe(303);
  expect(entered.headers.location).toBe('/');
  const [cookie = ''] = entered.headers['set-cookie'] ?? [];
  const [pair = '', ...attributes] = cookie.split('; ');
  expect(attributes.toSorted()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Strict']);
  expect(JSON.parse((await house.ask('/access', { headers: { cookie: pair } })).text)).toEqual({
    mayAct: true,
  });
  expect((await restart(house, { cookie: `other=1; ${pair}` })).status).toBe(200);
  expect(house.host.actions).toEqual([{ key: 'amber-books', action: 'restart' }]);
});

test('a wrong token sets no cookie, and is told so', async () => {
  await using house = await open();
  for (const wrong of ['', 'x', house.token.slice(1), `${house.token}x`]) {
    const answer = await house.ask(`/?token=${wrong}`);
    expect(answer.status).toBe(403);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect((await restart(house, { authorization: `Bearer ${wrong}` })).status).toBe(403);
  }
});

test('the token is taken as a bearer, too', async () => {
  await using house = await open({ dashboard: { token: 'a-token-of-my-own' } });
  expect(house.token).toBe('a-token-of-my-own');
  expect((await restart(house, bearer(house))).status).toBe(200);
});

test('the cookie of one dashboard says nothing to another on this machine', async () => {
  await using house = await open({ dashboard: { token: 'the-same-for-both' } });
  await using other = await open({ dashboard: { token: 'the-same-for-both' } });
  const [pair = ''] = (await cookieOf(house)).split('; ');
  expect((await restart(other, { cookie: pair })).status).toBe(403);
});

test('a name that was led here is not answered', async () => {
  await using house = await open({ dashboard: { names: ['ops.example.org'] } });
  const { port } = new URL(house.url);
  for (const host of [
    `127.0.0.1:${port}`,
    // Of a machine in front, which passes the connection on.
    '192.0.2.1:8080',
    '[2001:db8::1]',
    `localhost:${port}`,
    'LOCALHOST',
    'ops.example.org:81',
  ]) {
    expect([host, (await house.ask('/host', { headers: { host } })).status]).toEqual([host, 200]);
  }
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '1.2.3',
    'a@localhost',
  ]) {
    expect([host, (await house.ask('/host', { headers: { host } })).status]).toEqual([host, 403]);
    const refused = await restart(house, { host, ...bearer(house) });
    expect([host, refused.status]).toEqual([host, 403]);
  }
  expect(house.host.actions).toEqual([]);
});

test('a page of another site may not act, whatever it sends', async () => {
  await using house = await open();
  const [cookie = ''] = (await cookieOf(house)).split('; ');
  const own = house.url.slice(0, -1);
  expect((await restart(house, { cookie, origin: own })).status).toBe(200);
  const others = [
    'null',
    'http://evil.example',
    'http://127.0.0.1:1',
    `${own}.evil.example`,
    'file://',
  ];
  for (const origin of others) {
    expect([origin, (await restart(house, { cookie, origin })).status]).toEqual([origin, 403]);
  }
  for (const site of ['cross-site', 'same-site']) {
    expect((await restart(house, { cookie, 'sec-fetch-site': site })).status).toBe(403);
  }
});

test('a body is JSON, or there is none', async () => {
  await using house = await open();
  const types = { 'application/json': 200, 'application/json; charset=utf-8': 200 };
  const refused = {
    'text/plain': 415,
    'application/x-www-form-urlencoded': 415,
    'application/jsonp': 415,
  };
  for (const [type, status] of Object.entries({ ...types, ...refused })) {
    const headers = { ...bearer(house), 'content-type': type, 'content-length': '2' };
    expect([type, (await restart(house, headers, '{}')).status]).toEqual([type, status]);
  }
  expect((await restart(house, { ...bearer(house), 'content-length': '2' }, '{}')).status).toBe(
    415,
  );
});

test('every answer says that it is for this page alone', async () => {
  await using house = await open();
  for (const path of ['/', '/page/main.js', '/host', '/nowhere', '/access']) {
    const { headers } = await house.ask(path);
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
        "img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    );
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['access-control-allow-origin']).toBeUndefined();
  }
});

test('paths that are none do no harm', async () => {
  await using house = await open();
  for (const path of [
    '/page/../server.js',
    '/page/%2e%2e/server.js',
    '/page/shapes.d.ts',
    '/page/',
  ]) {
    const answer = await house.ask(path);
    expect(answer.status).toBeWithin(400, 500);
    expect(answer.text).not.toContain('randomBytes');
  }
  const posted = await house.ask('/page/main.js', { method: 'POST', headers: bearer(house) });
  expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD']);
});
