// `serve --survive`: a host that is killed, left or taken over from, and what the commands say.
import { expect, test } from 'bun:test';
import { createServer } from 'node:http';
import { endLeft, lookAt } from '../../lib/survive/names.js';
import { run, start, type Command } from '../support/command/run.ts';
import { get, serve } from '../support/command/serving.ts';
import { freePort, setUp, type World } from '../support/survive/world.ts';
import { until, within } from '../support/processes/until.ts';

/** A world in which the command serves. */
function serving(world: World) {
  const place = { path: world.runtimeDirectory, socket: `${world.runtimeDirectory}/control` };
  const env = world.env;
  const started: Command[] = [];
  return {
    control: ['--control', place.socket],
    async start(port: number, ...args: string[]) {
      const given = ['--port', String(port), '--survive', world.name, ...args];
      const { host } = await serve(place, world.tenants.root, given, { env });
      started.push(host);
      return host;
    },
    command: (...args: string[]) => run(args, { env }),
    async [Symbol.asyncDispose]() {
      for (const host of started) if (host.code === undefined) await host.end();
      await endLeft(world.name, env);
    },
  };
}

const pidOf = async (port: number) => (await get(port, 'a', '/pid')).text();
const signal = (host: Command, name: NodeJS.Signals) => void host.process.kill(name);

test('killed and started again: the same tenants', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const port = await freePort();
  const first = await house.start(port);
  expect(first.stderr).toContain(`tenants outlive this host as ${world.name}, for 1m`);
  const pid = await pidOf(port);
  await first.end();

  const left = await house.command('ps', ...house.control);
  expect(left.code).toBe(1);
  expect(left.stderr).toMatch(
    new RegExp(`1 tenant of ${world.name} runs on without a host, for \\d+s now: start one with`),
  );
  await house.start(port);
  expect(await pidOf(port)).toBe(pid);
  const events = await house.command('events', ...house.control);
  expect(events.stdout).toMatch(/ a has outlived an earlier host as process \d+[;\n]/);
  const drained = await house.command('drain', ...house.control);
  expect(drained.code).toBe(0);
  await world.untilNothingIsLeft();
});

test('SIGUSR2 leaves the tenants, and SIGTERM ends them', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const port = await freePort();
  const first = await house.start(port);
  const pid = await pidOf(port);
  signal(first, 'SIGUSR2');
  expect((await within('the host ends', first.ended)).code).toBe(0);
  expect(first.stderr).toContain('SIGUSR2: its tenants run on.');
  const second = await house.start(port);
  expect(await pidOf(port)).toBe(pid);
  signal(second, 'SIGTERM');
  expect((await within('the host ends', second.ended)).code).toBe(0);
  await world.untilNothingIsLeft();
});

test('a host that leaves and is told to end at once takes nothing from the next one', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const port = await freePort();
  const first = await house.start(port);
  const slow = get(port, 'a', '/slow?ms=60000').catch(() => {});
  const shown = async () =>
    JSON.parse((await house.command('ps', '--json', ...house.control)).stdout);
  while ((await shown())[0].inFlight !== 1);
  signal(first, 'SIGUSR2');
  await first.says(/SIGUSR2: its tenants run on; 1 open request may end first/, 'stderr');
  while ((await world.look())?.ownerPid !== 0);
  await house.start(port);
  expect((await first.end('SIGTERM')).code).toBe(143);
  await slow;
  expect(await shown()).toMatchObject([{ key: 'a', state: 'running' }]);
});

test('an upgrade: the other host leaves its addresses, its control and its page, and ends', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const [port, page, metrics] = await Promise.all([freePort(), freePort(), freePort()]);
  const places = ['--dashboard', `127.0.0.1:${page}`, '--metrics', `127.0.0.1:${metrics}`];
  const first = await house.start(port, ...places);
  const pid = await pidOf(port);
  const second = await house.start(port, ...places, '--take-over');
  expect((await within('the host before ends', first.ended)).code).toBe(0);
  expect(first.stderr).toContain('Left to the next host: its tenants run on.');
  expect(await pidOf(port)).toBe(pid);
  for (const at of [page, metrics]) {
    expect((await fetch(`http://127.0.0.1:${at}/metrics`)).status).toBeLessThan(500);
  }
  const shown = await house.command('ps', '--json', ...house.control);
  expect(JSON.parse(shown.stdout)).toMatchObject([{ key: 'a', state: 'running' }]);
  signal(second, 'SIGTERM');
  await within('the host ends', second.ended);
});

/** Holds an address, as a host does that has not left it yet, and counts who asks there. */
async function held(at: number | string) {
  let asked = 0;
  const server = createServer((_, answer) => {
    asked += 1;
    answer.end('{"host":{"pid":1}}');
  });
  await new Promise<void>((resolve) => {
    if (typeof at === 'string') server.listen(at, resolve);
    else server.listen(at, '127.0.0.1', resolve);
  });
  return {
    asked: () => asked,
    leave() {
      server.close();
      server.closeAllConnections();
    },
  };
}

test('a host that takes over waits for the addresses that the other one still holds', async () => {
  await using world = setUp(['a']);
  const socket = `${world.runtimeDirectory}/control`;
  const [page, metrics] = await Promise.all([freePort(), freePort()]);
  const [control, ...others] = await Promise.all([held(socket), held(page), held(metrics)]);
  const args = ['--port', '0', '--control', socket, '--survive', world.name, '--take-over'];
  const places = ['--dashboard', `127.0.0.1:${page}`, '--metrics', `127.0.0.1:${metrics}`];
  const host = start(['serve', world.tenants.root, ...args, ...places], { env: world.env });
  await until('it looks again', () => control!.asked() > 2 || host.code !== undefined);
  control!.leave();
  // Its control answers, so it lives, and waits for the others.
  for (;;) {
    const { code, stderr } = await run(['ps', '--control', socket], { env: world.env });
    if (code === 0) break;
    if (host.code !== undefined) throw new Error(`it ended: ${host.stderr}${stderr}`);
  }
  for (const other of others) other.leave();
  await host.says(/:\d+\//);
  for (const [at, path] of [
    [page, '/'],
    [metrics, '/metrics'],
  ] as const) {
    expect((await fetch(`http://127.0.0.1:${at}${path}`)).status).toBe(200);
  }
  expect((await host.end('SIGTERM')).code).toBe(0);
});

test('a second host without --take-over says who has the name, and ends', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const first = await house.start(await freePort());
  const second = await house.command(
    ...['serve', world.tenants.root, '--port', '0', '--survive', world.name],
    ...['--control', `${world.runtimeDirectory}/other`],
  );
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`belong to process ${first.process.pid}, `);
  expect(second.stderr).toContain('give this one another --survive, or take over with --take-over');
});

test('end ends what was left, and nothing that a host has', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const port = await freePort();
  const host = await house.start(port);
  await pidOf(port);
  const refused = await house.command('end', world.name);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`Process ${host.process.pid} has the tenants of ${world.name}`);
  await host.end();
  await until('nobody has it', () => true);
  for (;;) if ((await lookAt(world.name, world.env))?.ownerPid === 0) break;
  const ended = await house.command('end', world.name);
  expect([ended.code, ended.stdout]).toEqual([0, `1 tenant of ${world.name} ended.\n`]);
  await world.untilNothingIsLeft();
  const again = await house.command('end', world.name);
  expect([again.code, again.stderr]).toEqual([1, `Nothing is left of ${world.name}\n`]);
});

test('doctor tells who has a name', async () => {
  await using world = setUp(['a']);
  await using house = serving(world);
  const host = await house.start(await freePort());
  const doctor = await house.command('doctor', '--json');
  const { findings } = JSON.parse(doctor.stdout);
  expect(findings.filter(({ check }: any) => check === 'survive')).toMatchObject([
    { level: 'ok', found: expect.stringContaining(`${world.name}: process ${host.process.pid}, `) },
  ]);
});

test.each([
  [['--survive', 'a/b'], /--survive must be on, or a name of 1 to 64 letters.*, or off, got a\/b/],
  [
    ['--survive', 'control'],
    /, and not "control", as the control's socket is called, or off, got /,
  ],
  [['--take-over'], /--take-over also needs --survive/],
  [
    ['--survive', 'x', '--survive-for', '0'],
    /--survive-for must be a time of at least 1ms, or fore/,
  ],
])('%p is wrong usage', async (args, message) => {
  await using world = setUp([]);
  const told = await run(['serve', world.tenants.root, ...args], { env: world.env });
  expect(told.code).toBe(2);
  expect(told.stderr).toMatch(message);
});

test('on is a name made of the directory', async () => {
  await using world = setUp(['a']);
  const place = { path: world.runtimeDirectory, socket: `${world.runtimeDirectory}/control` };
  const args = ['--survive', 'on', '--survive-for', '100ms'];
  const { host } = await serve(place, world.tenants.root, args, { env: world.env });
  expect(host.stderr).toMatch(/tenants outlive this host as abs-tenants-\w+-[0-9a-f]{8}, for /);
  await host.end('SIGTERM');
});
