// Two hosts of a fleet, with a real etcd: each serves what either is asked for.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { until } from '../support/processes/index.ts';
import { connect } from 'node:net';
import { Fleet, program } from '../support/fleet.ts';

const KEYS = Array.from({ length: 8 }, (_, number) => `key-${number}`);

let bed: Fleet;
let first: Awaited<ReturnType<Fleet['host']>>;
let second: Awaited<ReturnType<Fleet['host']>>;

interface Said {
  epoch: string;
  pid: number;
  body: number;
  headers: Record<string, string>;
}

/** What a tenant has answered. */
const said = async (answer: Response) => (await answer.json()) as Said;

/** What the peer listener at this port answers to a request by hand: its head. */
async function answerOf(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (piece) => (text += piece));
  const over = new Promise((resolve) => socket.on('close', resolve));
  socket.write(request);
  await over;
  return text;
}

describe.skipIf(program === undefined)('with etcd', () => {
  beforeAll(async () => {
    bed = await Fleet.open(KEYS);
    first = await bed.host('eu-1', 17_071);
    second = await bed.host('eu-2', 17_072);
    await Promise.all([first.fleet.joined, second.fleet.joined]);
  });
  afterAll(() => bed.close());

  test('each key has one process, whichever gateway is asked', async () => {
    const hosts = new Set<string>();
    for (const key of KEYS) {
      const answers = await Promise.all([first.visit(key), second.visit(key)]);
      const [one, other] = await Promise.all(answers.map(said));
      if (one === undefined || other === undefined) throw new Error('two answers');
      expect(one.pid).toBe(other.pid);
      expect(one.epoch).toMatch(/^[1-9][0-9]*$/);
      expect(first.fleet.where(key)).toEqual(second.fleet.where(key));
      expect(first.fleet.where(key)).toMatchObject({ epoch: one.epoch });
      hosts.add(first.fleet.where(key)!.host);
    }
    expect([...hosts].sort()).toEqual(['eu-1', 'eu-2']);
  });

  test('a request that is passed on comes through whole, and a WebSocket, too', async () => {
    const key = KEYS.find((key) => first.fleet.where(key)?.host === 'eu-2')!;
    const answer = await first.visit(key, '/', {
      method: 'POST',
      body: 'x'.repeat(300_000),
      headers: { 'absolute-key': 'another', 'x-own': 'kept' },
    });
    const { body, headers, epoch } = await said(answer);
    expect(body).toBe(300_000);
    expect(headers).toMatchObject({ host: `${key}.fleet.test`, 'x-own': 'kept' });
    expect(Object.keys(headers).filter((name) => name.startsWith('absolute-'))).toEqual([]);
    const socket = new WebSocket(`ws://127.0.0.1:${first.port}/`, {
      headers: { host: `${key}.fleet.test` },
    } as never);
    const echoed = new Promise((resolve) =>
      socket.addEventListener('message', ({ data }) => resolve(data)),
    );
    socket.addEventListener('open', () => socket.send('!'));
    expect(await echoed).toBe(`${epoch}!`);
    socket.close();
  });

  test('ensure starts the tenant where it belongs', async () => {
    const key = KEYS.find((key) => first.fleet.where(key)?.host === 'eu-2')!;
    await second.runtime.kill(key);
    const { host, address, epoch, port } = await first.fleet.ensure(key);
    expect({ host, address, port }).toEqual({
      host: 'eu-2',
      address: 'http://127.0.0.1:17072',
      port: undefined,
    });
    expect(second.runtime.list().map((tenant) => tenant.key)).toContain(key);
    expect(await said(await second.visit(key))).toMatchObject({ epoch });
  });

  test('the listener for other hosts lets nobody else in', async () => {
    const head = 'GET / HTTP/1.1\r\nhost: a\r\nabsolute-key: key-0\r\nabsolute-hops: 1\r\n';
    expect(await answerOf(17_071, `${head}\r\n`)).toStartWith('HTTP/1.1 401 ');
    const forged = `${head}absolute-peer: eu-2 ${'0'.repeat(64)}\r\n\r\n`;
    expect(await answerOf(17_071, forged)).toStartWith('HTTP/1.1 401 ');
  });

  test('a host that is drained loses no request, and the other has all keys', async () => {
    const before = new Map(KEYS.map((key) => [key, first.fleet.where(key)!]));
    let isOver = false;
    const statuses: number[] = [];
    const load = KEYS.map(async (key, index) => {
      const from = index % 2 === 0 ? first : second;
      while (!isOver) {
        const answer = await from.visit(key, '/?slow=20', {
          method: 'POST',
          body: 'x'.repeat(500),
        });
        await answer.text();
        statuses.push(answer.status);
      }
    });
    await second.fleet.drain();
    isOver = true;
    await Promise.all(load);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(statuses.length).toBeGreaterThan(KEYS.length);
    for (const key of KEYS) {
      const { host, epoch } = first.fleet.where(key)!;
      expect(host).toBe('eu-1');
      const old = before.get(key)!;
      if (old.host === 'eu-2') expect(BigInt(epoch)).toBeGreaterThan(BigInt(old.epoch));
      expect(await said(await second.visit(key))).toMatchObject({ epoch });
    }
    await until('no tenant is left', () => second.runtime.stats().total === 0);
    const state = first.fleet.hosts().map(({ id, state }) => [id, state]);
    expect(state).toEqual([
      ['eu-1', 'live'],
      ['eu-2', 'draining'],
    ]);
  }, 60_000);
});
