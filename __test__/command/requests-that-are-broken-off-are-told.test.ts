// At the end of a host open requests have some time; those that need more are counted.
import { expect, test } from 'bun:test';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';
import { closeGateway } from '../../lib/control/last-requests.js';
import { endLeft } from '../../lib/survive/names.js';
import { directory, start } from '../support/command/run.ts';
import { get, serve } from '../support/command/serving.ts';
import { setUp } from '../support/survive/world.ts';
import { Tenants } from '../support/processes/tenants.ts';
import { until, within } from '../support/processes/until.ts';

const SLOW = {
  'server.ts': `const ends = [];
    Bun.serve({ port: process.env.PORT, idleTimeout: 0, fetch: async ({ url }) => {
      if (url.endsWith('/end')) ends.forEach((end) => end());
      if (url.endsWith('/wait')) {
        console.log('asked');
        await new Promise((end) => ends.push(end));
      }
      return new Response('hello'); } });`,
};

test('what is open when its time is up is counted, and what ends before is not', async () => {
  await using tenants = new Tenants().add('slow', SLOW);
  await using runtime = createRuntime({ source: { kind: 'directory', root: tenants.root } });
  for (const [how, graceMs, brokenOff] of [
    ['ends', 20_000, 0],
    ['goes on', 300, 1],
  ] as const) {
    const gateway = createGateway({
      runtime,
      route: { by: 'subdomain', domain: 'localhost' },
      listen: { hostname: '127.0.0.1', port: 0 },
    });
    const port = (await gateway.listening)[0]!.port!;
    const waiting = get(port, 'slow', '/wait').then(
      () => 'ends',
      () => 'is broken off',
    );
    await until('the open request', () => gateway.stats().inFlight === 1);
    const tenant = await runtime.ensure('slow');
    const closing = closeGateway(gateway, graceMs);
    if (how === 'ends') {
      // Until the tenant has it.
      for (let isOver = false; !isOver;) {
        await fetch(`http://127.0.0.1:${tenant.port}/end`);
        isOver = await Promise.race([waiting.then(() => true), Bun.sleep(20).then(() => false)]);
      }
    }
    expect(await closing).toBe(brokenOff);
  }
});

test.concurrent(
  'a host says at its end how many requests it has broken off',
  async () => {
    using place = directory();
    await using tenants = new Tenants().add('slow', SLOW);
    const { host, port, control } = await serve(place, tenants.root);
    const waiting = get(port, 'slow', '/wait').catch(() => {});
    const logs = start(['logs', '-f', ...control]);
    await logs.says(/asked/);
    expect((await host.end('SIGTERM')).code).toBe(0);
    expect(host.stderr).toContain('1 open request may end first');
    expect(host.stderr).toEndWith('1 open request was broken off.\n');
    await Promise.all([waiting, logs.end()]);
  },
  30_000,
);

test.concurrent(
  'so does one that is drained, and one that leaves its tenants to the next',
  async () => {
    using place = directory();
    await using tenants = new Tenants().add('slow', SLOW);
    await using world = setUp([]);
    world.tenants.add('slow', SLOW);
    const survivor = { path: world.runtimeDirectory, socket: `${world.runtimeDirectory}/control` };
    const named = ['--survive', world.name];
    const hosts = await Promise.all([
      serve(place, tenants.root),
      serve(survivor, world.tenants.root, named, { env: world.env }),
    ]);
    const [drained, left] = hosts;
    const waiting = hosts.map(({ port }) => get(port, 'slow', '/wait').catch(() => {}));
    for (const { control } of hosts) {
      const logs = start(['logs', '-f', ...control]);
      await logs.says(/asked/);
      await logs.end();
    }
    const drain = start(['drain', ...drained.control]);
    left.host.process.kill('SIGUSR2');
    for (const { host } of hosts) {
      expect((await within('the end', host.ended, 60_000)).code).toBe(0);
      expect(host.stderr).toEndWith('1 open request was broken off.\n');
    }
    expect((await drain.ended).code).toBe(0);
    await Promise.all(waiting);
    await endLeft(world.name, world.env);
  },
  90_000,
);
