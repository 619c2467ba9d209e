// However the host ends, its tenants get SIGTERM, once, and most of a second to save what they
// have.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  descendantsOf,
  engineNames,
  signal,
  startHost,
  Tenants,
  until,
  untilGone,
} from '../support/processes/index.ts';

/** A server that records signals, and takes a while to save. */
const SAVES = `
import { appendFileSync } from 'node:fs';
process.on('SIGTERM', () => {
  appendFileSync('heard', 'TERM ');
  setTimeout(() => {
    appendFileSync('heard', 'saved ');
    process.exit(0);
  }, 200);
});
Bun.serve({ port: Number(process.env.PORT), fetch: () => new Response('hello') });
`;

const endings = ['SIGKILL', 'SIGTERM', 'SIGSEGV', 'process.exit', 'uncaught error', 'natural end'];
const isSignal = (how: string): how is NodeJS.Signals => how.startsWith('SIG');

for (const engine of engineNames) {
  for (const how of endings) {
    test(`${engine}: ${how}`, async () => {
      await using tenants = new Tenants().add('app', { 'server.ts': SAVES });
      await using host = startHost(engine, 'ends.mjs', [tenants.root, 'app', '']);
      await host.said('up');
      const all = descendantsOf(host.pid);
      if (isSignal(how)) host.kill(how);
      else host.say(how);
      await until('the host ends', () => host.hasEnded);
      await untilGone('a moment after the host', all);
      expect(heard(tenants)).toBe('TERM saved ');
    });
  }

  test(`${engine}: a worker is terminated`, async () => {
    await using tenants = new Tenants()
      .add('app', { 'server.ts': SAVES })
      .add('deaf', { 'server.ts': SAVES.replace('process.exit(0)', '') })
      .add('main');
    await using host = startHost(engine, 'worker.mjs', [
      tenants.root,
      'app,deaf',
      '',
      'main',
      'terminate',
    ]);
    await host.said('up');
    const all = descendantsOf(host.pid);
    host.say('end');
    await host.said('worker ended');
    await untilGone('a moment after the worker', all);
    expect(heard(tenants)).toBe('TERM saved ');
  });
}

test('a killed warden', async () => {
  await using tenants = new Tenants().add('app', { 'server.ts': SAVES });
  await using host = startHost('Node', 'ends.mjs', [tenants.root, 'app', '']);
  await host.said('up');
  const all = descendantsOf(host.pid);
  signal(
    all.find(({ name }) => name === 'abs-warden'),
    'SIGKILL',
  );
  await untilGone('a moment after the warden', all);
  expect(heard(tenants)).toBe('TERM saved ');
});

const heard = (tenants: Tenants) => readFileSync(join(tenants.root, 'app', 'heard'), 'utf8');
