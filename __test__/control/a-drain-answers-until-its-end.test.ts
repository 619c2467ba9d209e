import { expect, test } from 'bun:test';
import { openDesk, TALKER } from '../support/control/desk.ts';
import { within } from '../support/processes/until.ts';

/** Answers `/slow` once there is a file `go`, and others at once. */
const SLOW = `
const go = Bun.file(process.cwd() + '/go');
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/slow') {
      console.log('has the slow one');
      while (!(await go.exists())) await Bun.sleep(5);
    }
    return new Response('yes');
  },
});
`;
const STARTING = `
const go = process.cwd() + '/go';
while (!(await Bun.file(go).exists())) await Bun.sleep(5);
${TALKER}
`;

test('what is open ends first, and what comes meanwhile is answered with 503', async () => {
  await using desk = await openDesk({ tenants: { slow: SLOW, other: TALKER } });
  const { house } = desk;
  await (await house.ask('other')).text();
  const open = house.ask('slow', '/slow');
  await desk.line('slow', 'has the slow one');
  expect((await desk.ask('/drain', 'POST')).status).toBe(202);
  await desk.eventually('the idle one is gone', async () => {
    const { tenants } = await desk.get('/tenants?state=stopped');
    return tenants.some(({ key }: { key: string }) => key === 'other');
  });
  for (const key of ['slow', 'other']) {
    const refused = await house.ask(key, '/', { headers: { connection: 'close' } });
    expect([key, refused.status]).toEqual([key, 503]);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    await refused.text();
  }
  house.tenants.write('slow/go', '');
  expect(await (await open).text()).toBe('yes');
  expect(await within('the end', desk.control.drained)).toEqual({ brokenOff: 0 });
  await expect(fetch(`http://127.0.0.1:${house.port}/`)).rejects.toThrow();
});

test('what is open when its time is up is broken off, and counted', async () => {
  await using desk = await openDesk({ tenants: { slow: SLOW }, gateway: { drainMs: 300 } });
  const open = desk.house.ask('slow', '/slow');
  await desk.line('slow', 'has the slow one');
  expect((await desk.ask('/drain', 'POST')).status).toBe(202);
  expect(await within('the end', desk.control.drained)).toEqual({ brokenOff: 1 });
  await open;
});

test('who waits for a start is answered by it', async () => {
  await using desk = await openDesk({ tenants: { late: STARTING } });
  const waiting = desk.house.ask('late');
  await desk.eventually('its process', async () => (await desk.tenant('late')).pid !== null);
  expect((await desk.ask('/drain', 'POST')).status).toBe(202);
  desk.house.tenants.write('late/go', '');
  expect(await (await waiting).text()).toBe('yes');
  await within('the end', desk.control.drained);
});

test('in a fleet others have the tenants first, and until then they answer', async () => {
  await using desk = await openDesk({ tenants: { other: TALKER } });
  const { house } = desk;
  await (await house.ask('other')).text();
  const { core } = (house.runtime.list as any)[Symbol.for('@absolutejs/runtime.core')]();
  const whilePassing: unknown[] = [];
  const drain = async () => {
    const answer = await house.ask('other');
    whilePassing.push(answer.status, await answer.text());
    whilePassing.push((await desk.get('/host')).runtime.draining);
  };
  const hosts = () => [{ id: 'eu-2', state: 'live' }];
  core.fleet = { id: 'eu-1', where: () => null, hosts, drain, close: async () => {} };
  expect((await desk.ask('/drain', 'POST')).status).toBe(202);
  await within('the end', desk.control.drained);
  expect(whilePassing).toEqual([200, 'yes', true]);
});
