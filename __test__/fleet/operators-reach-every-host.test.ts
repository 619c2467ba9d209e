// From one host of a fleet operators see what runs on all of them, and drain the others: with a real
// etcd, and by the command.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createControl } from '@absolutejs/runtime/control';
import { type Command, run, start } from '../support/command/run.ts';
import { Fleet, program, SECRET } from '../support/fleet.ts';
import { until } from '../support/processes/until.ts';

const KEYS = Array.from({ length: 24 }, (_, number) => `key-${number}`);
/** What `serve` has. */
const LEASE_MS = 5_000;

let bed: Fleet;
let first: Awaited<ReturnType<Fleet['host']>>;
let second: Command;

/** A command, of which the host `eu-1` is asked. */
const runtime = (...words: string[]) => run([...words, '--control', bed.path('one')]);

const hostOf = (key: string) => first.fleet.where(key)?.host;
const hosts = () => Object.fromEntries(first.fleet.hosts().map((host) => [host.id, host]));

/** `eu-2`, by the command alone. */
async function serve(): Promise<Command> {
  const secret = bed.path('secret');
  writeFileSync(secret, SECRET);
  const store = `${bed.endpoint.replace('http:', 'etcd:')}/test`;
  const args = ['serve', bed.root, '--port', '0', '--control', bed.path('two')];
  args.push('--isolation', 'none', '--memory', 'none', '--cpus', 'none', '--processes', 'none');
  args.push('--fleet', store, '--fleet-secret-file', secret);
  args.push('--host-id', 'eu-2', '--host-address', 'http://127.0.0.1:17092');
  const host = start(args);
  // Others know of it before it may serve, which it says.
  await host.says(/:\d+\//);
  await until('eu-2 is known', () => hosts()['eu-2']?.state === 'live');
  return host;
}

/** Visits keys, each for the first time, until `eu-2` has so many. */
async function fillSecond(count: number): Promise<string[]> {
  const theirs: string[] = [];
  for (const key of KEYS.filter((key) => hostOf(key) === undefined)) {
    expect((await first.visit(key)).status).toBe(200);
    await until(`${key} is known`, () => hostOf(key) !== undefined);
    if (hostOf(key) === 'eu-2') theirs.push(key);
    if (theirs.length === count) return theirs;
  }
  throw new Error('there are not enough keys');
}

describe.skipIf(program === undefined)('with etcd', () => {
  beforeAll(async () => {
    bed = await Fleet.open(KEYS);
    const broken = join(bed.root, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'package.json'), JSON.stringify({ scripts: { start: 'exit 3' } }));
    first = await bed.host('eu-1', 17_091, LEASE_MS);
    const control = createControl({ runtime: first.runtime, path: bed.path('one') });
    await Promise.all([control.listening, first.fleet.joined]);
    second = await serve();
  }, 60_000);
  afterAll(async () => {
    await second?.end();
    await bed.close();
  });

  test('ps --fleet shows who has which key, and what its tenant does', async () => {
    const [theirs, stopped] = await fillSecond(2);
    expect((await first.visit('broken')).status).toBe(502);
    await run(['stop', stopped!, '--control', bed.path('two')]);
    const { stdout, stderr } = await runtime('ps', '--fleet', '--json');
    expect(stderr).toBe('');
    const tenants: any[] = JSON.parse(stdout);
    expect(tenants[0]).toMatchObject({ key: 'broken', state: expect.stringMatching(/failed|off/) });
    const known = KEYS.filter((key) => hostOf(key) !== undefined);
    expect(tenants.map(({ key }) => key).toSorted()).toEqual(['broken', ...known].toSorted());
    for (const { key, host, epoch, hostIsGone } of tenants) {
      expect({ host, epoch }).toEqual({
        host: first.fleet.where(key)!.host,
        epoch: first.fleet.where(key)!.epoch,
      });
      expect(hostIsGone).toBeFalse();
    }
    const states = Object.fromEntries(tenants.map(({ key, state }) => [key, state]));
    expect(states).toMatchObject({ [theirs!]: 'running', [stopped!]: 'stopped' });
    // From there it is the same picture.
    const there = await run(['ps', '--fleet', '--json', theirs!, '--control', bed.path('two')]);
    expect(JSON.parse(there.stdout)).toEqual(tenants.filter(({ key }) => key === theirs));
  }, 60_000);

  test('a host without a control is drained, and stays', async () => {
    const third = await bed.host('eu-3', 17_093, LEASE_MS);
    await until('eu-3 is known', () => hosts()['eu-3'] !== undefined);
    const drained = await runtime('drain', '--host', 'eu-3');
    expect(drained).toMatchObject({ code: 0, stderr: '' });
    expect(drained.stdout).toBe('eu-3 drains: 0 tenants\neu-3 has no tenants any more.\n');
    expect(third.events).toContainEqual(
      expect.objectContaining({ kind: 'drain-asked', host: 'eu-1' }),
    );
    await until('it says so', () => hosts()['eu-3']?.state === 'draining');
    const again = await runtime('drain', '--host', 'eu-3');
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toStartWith('eu-3 drains already: 0 tenants\n');
    await third.close();
    await until('it has left', () => hosts()['eu-3'] === undefined);
  }, 60_000);

  test('drain --host passes the tenants of another host on, loses no request, and ends it', async () => {
    const theirs = KEYS.filter((key) => hostOf(key) === 'eu-2');
    let isOver = false;
    const statuses: number[] = [];
    const load = theirs.map(async (key) => {
      while (!isOver) {
        const answer = await first.visit(key, '/?slow=20');
        await answer.text();
        statuses.push(answer.status);
      }
    });
    const drained = await runtime('drain', '--host', 'eu-2');
    isOver = true;
    await Promise.all(load);
    expect(drained).toMatchObject({ code: 0 });
    expect(drained.stdout).toEndWith('eu-2 has no tenants any more.\n');
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    await second.ended;
    expect(second).toMatchObject({ code: 0, stderr: expect.stringContaining('Drained, as ') });
    for (const key of theirs) {
      expect((await first.visit(key)).status).toBe(200);
      expect(hostOf(key)).toBe('eu-1');
    }
    expect(hosts()['eu-2']).toBeUndefined();
  }, 60_000);

  test('a host that is killed is gone until all of its keys are taken', async () => {
    second = await serve();
    const theirs = await fillSecond(2);
    await second.end('SIGKILL');
    await until('it is gone', () => hosts()['eu-2']?.state === 'gone');
    expect(hosts()['eu-2']).toEqual({
      id: 'eu-2',
      address: '',
      state: 'gone',
      tenants: 2,
      weight: 0,
    });
    expect((await runtime('hosts')).stdout).toMatch(/^eu-2 +gone +2 +0$/m);
    const { stdout } = await runtime('ps', '--fleet', ...theirs);
    expect(stdout).toMatch(new RegExp(`^${theirs[0]} +stopped +eu-2 \\(gone\\) +\\d+$`, 'm'));
    expect(await runtime('drain', '--host', 'eu-2')).toMatchObject({
      code: 1,
      stderr: 'host "eu-2" is gone: its keys are taken by others as they are asked for\n',
    });
    for (const key of theirs) {
      expect(hosts()['eu-2']?.state).toBe('gone');
      expect((await first.visit(key)).status).toBe(200);
    }
    await until('none is left', () => hosts()['eu-2'] === undefined);
  }, 60_000);
});
