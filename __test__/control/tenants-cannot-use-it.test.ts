// A tenant within walls that runs as the host's own user can connect to the socket below Landlock 9,
// and gets nothing there: it cannot read the token.
import { expect, test } from 'bun:test';
import { openDesk } from '../support/control/desk.ts';
import { landlock, WALLS } from '../support/walls/kernel.ts';

const CURIOUS = `
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
const attempt = async (look) => {
  try { return await look(); } catch (error) { return error.code ?? String(error); }
};
const post = (socketPath, headers) => new Promise((resolve, reject) => {
  const asked = request({ socketPath, path: '/tenants/curious/stop', method: 'POST', agent: false, headers });
  asked.on('response', (answer) => resolve(answer.resume().statusCode));
  asked.on('error', reject);
  asked.end();
});
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  async fetch(request) {
    const path = new URL(request.url).searchParams.get('path');
    const token = await attempt(() => readFileSync(path + '.token', 'utf8'));
    const status = await attempt(() => post(path, { authorization: token.slice(15).trim() }));
    return Response.json({ token, status });
  },
});
`;

test.skipIf(landlock === 0)('a tenant within walls neither reads the token nor acts', async () => {
  await using desk = await openDesk({
    tenants: { curious: CURIOUS },
    runtime: { isolation: WALLS },
  });
  const answer = await desk.house.ask('curious', `/?path=${encodeURIComponent(desk.path)}`);
  const { token, status } = (await answer.json()) as { token: string; status: unknown };
  expect(token).toBe('EACCES');
  expect([401, 'EACCES', 'EPERM', 'FailedToOpenSocket']).toContain(status as never);
  expect(await desk.tenant('curious')).toMatchObject({ state: 'running', crashes: 0 });
});
