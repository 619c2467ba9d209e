import { fieldsFor } from '../../lib/control/token.js';
import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { createControl } from '@absolutejs/runtime/control';
import { request } from 'node:http';
import { join } from 'node:path';
import { openDesk } from '../support/control/desk.ts';
import { Tenants } from '../support/processes/tenants.ts';
import { until } from '../support/processes/until.ts';

const say = (text: string, times = 1) => `/?times=${times}&say=${encodeURIComponent(text)}`;

test('lines have their time, stream and process, and keep their escapes', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello', say('a\u0000b\u001b[2Jc\rd'))).text();
  await desk.line('hello', 'a\u0000b\u001b[2Jc\rd');
  const { lines, dropped } = await desk.get('/tenants/hello/logs');
  expect(dropped).toBe(0);
  const { pid } = desk.house.runtime.inspect('hello')!;
  expect(lines.find(({ stream }: any) => stream === 'stderr')).toMatchObject({ key: 'hello', pid });
  expect(lines.map(({ line }: any) => line)).toContain('\u001b[31mred\u001b[0m');
  const seqs = lines.map(({ seq }: any) => seq);
  expect(seqs).toEqual([...seqs].sort((one, other) => one - other));
});

test('lines are told by number, time, stream and pattern', async () => {
  await using desk = await openDesk();
  const before = Date.now();
  await (await desk.house.ask('hello', say('line #', 30))).text();
  await desk.line('hello', 'line 29');
  const textsOf = async (query: string) => {
    const { lines } = await desk.get(`/tenants/hello/logs?${query}`);
    return lines.map(({ line }: any) => line);
  };
  expect(await textsOf('n=2')).toEqual(['line 28', 'line 29']);
  expect(await textsOf('n=0')).toEqual([]);
  expect(await textsOf('grep=%20%5B12%5D7%24')).toEqual(['line 17', 'line 27']);
  expect(await textsOf('grep=LINE')).toEqual([]);
  expect(await textsOf(`grep=${encodeURIComponent('(?i)^LINE 1$')}`)).toEqual(['line 1']);
  expect(await textsOf('stream=stderr&grep=red')).toEqual(['\u001b[31mred\u001b[0m']);
  expect(await textsOf(`since=${Date.now() + 60_000}`)).toEqual([]);
  expect((await textsOf(`since=${before}`)).length).toBeGreaterThan(30);
  expect((await textsOf('since=10m')).length).toBeGreaterThan(30);
  for (const bad of ['n=x', 'n=10001', 'since=soon', 'stream=x', 'grep=(', 'grep=a&grep=b']) {
    expect([bad, (await desk.ask(`/tenants/hello/logs?${bad}`)).status]).toEqual([bad, 400]);
  }
});

test('memory holds no more lines than it may, and says how many it has lost', async () => {
  await using desk = await openDesk({ control: { logs: { linesPerTenant: 10 } } });
  await (await desk.house.ask('hello', say('line # ' + 'x'.repeat(500), 1_000))).text();
  await desk.line('hello', `line 999 ${'x'.repeat(500)}`);
  const { lines, dropped } = await desk.get('/tenants/hello/logs');
  expect(lines).toHaveLength(10);
  expect(dropped).toBeGreaterThan(900);
  const { logs } = await desk.get('/host');
  expect(logs.bytes).toBeLessThan(64 << 10);
});

test('a line of 64 KiB is kept whole', async () => {
  await using desk = await openDesk({ control: { logs: { bytesPerTenant: 1_024 } } });
  const text = 'ü'.repeat(30_000);
  desk.house.tenants.write(
    'loud/package.json',
    JSON.stringify({ scripts: { start: 'bun server.ts' } }),
  );
  desk.house.tenants.write(
    'loud/server.ts',
    `Bun.serve({ port: process.env.PORT, fetch({ url }) {
      if (url.endsWith('/long')) console.log('ü'.repeat(30_000));
      return new Response('x');
    } });`,
  );
  // Bun's own line comes from the other pipe: coming later, it would take the long one's place.
  await (await desk.house.ask('loud')).text();
  await desk.line('loud', '$ bun server.ts');
  await (await desk.house.ask('loud', '/long')).text();
  await desk.line('loud', text);
});

test('the lines of several tenants come in their order, and can be followed', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello', say('one'))).text();
  await desk.line('hello', 'one');
  await (await desk.house.ask('broken')).text();
  await desk.line('broken', 'cannot find the database');
  const keysOf = ({ lines }: any) => new Set(lines.map(({ key }: any) => key));
  const all = await desk.get('/logs');
  expect(keysOf(all)).toEqual(new Set(['hello', 'broken']));
  expect(keysOf(await desk.get('/logs?key=broken'))).toEqual(new Set(['broken']));
  expect(await desk.get('/logs?key=broken&key=hello')).toEqual(all);
  using followed = desk.follow('/logs?key=hello&n=1&grep=two');
  await (await desk.house.ask('hello', say('two'))).text();
  const { data, id } = await followed.next('line');
  expect(data).toMatchObject({ key: 'hello', line: 'two', seq: Number(id) });
  using again = desk.follow('/logs', { 'last-event-id': String(data.seq - 1) });
  expect((await again.next('line')).data.line).toBe('two');
});

test('a client that does not read costs no more than a bound, and is told what it has missed', async () => {
  await using desk = await openDesk();
  await (await desk.house.ask('hello')).text();
  // Nothing of before may come later.
  for (const line of ['$ bun server.ts', '\u001b[31mred\u001b[0m', 'asked']) {
    await desk.line('hello', line);
  }
  const accept = 'text/event-stream';
  const asked = request({
    socketPath: desk.path,
    path: '/logs?n=0',
    agent: false,
    headers: { accept, ...fieldsFor(desk.path) },
  });
  const response = await new Promise<any>((resolve) => asked.on('response', resolve).end());
  response.pause();
  const text = 'flood # ' + 'x'.repeat(1_000);
  for (let round = 0; round < 6; round += 1) {
    await (await desk.house.ask('hello', say(text, 3_000))).text();
    await (await desk.house.ask('hello', say(`end of round ${round}`))).text();
    await desk.line('hello', `end of round ${round}`);
  }
  let read = '';
  response.setEncoding('utf8');
  response.on('data', (part: string) => (read += part));
  response.resume();
  const numbers = () => [...read.matchAll(/event: dropped\ndata: \{"lines":(\d+)\}\n\n/g)];
  const count = () => {
    const dropped = numbers().reduce((sum, [, lines]) => sum + Number(lines), 0);
    return { dropped, told: read.split('event: line\n').length - 1 + dropped };
  };
  // Each line is either told, or counted as missed.
  await until('all lines', () => count().told === 6 * 3_001);
  expect(count().dropped).toBeGreaterThan(0);
  asked.destroy();
});

test("a control hears what the user's callbacks hear, after them, and costs them nothing", async () => {
  await using tenants = new Tenants().add('app', {
    'server.ts': `console.log('said'); Bun.serve({ port: process.env.PORT, fetch: () => new Response('x') });`,
  });
  const heard: string[] = [];
  await using runtime = createRuntime({
    source: tenants.source,
    onLog: ({ line }) => {
      heard.push(line);
      throw new Error("of the user's");
    },
  });
  const path = join(tenants.root, 'c');
  await using control = createControl({ runtime, path });
  await control.listening;
  await runtime.ensure('app');
  await until('the line', () => heard.includes('said'));
  await control.close();
  await runtime.restart('app');
  await until('it once more', () => heard.filter((line) => line === 'said').length === 2);
});
